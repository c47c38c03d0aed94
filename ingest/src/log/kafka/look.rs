//! Looks up where the partitions of a topic stand: in a handful of requests for all of them together. Blocks.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use crate::log::{Offsets, Partition, Position};

/// How long one request of a look may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// What a look found.
pub(super) struct Found {
    /// Where every partition stands for the group, as far as `client` may read. What retention has removed counts as committed.
    pub(super) positions: BTreeMap<Partition, Position>,
    /// How many offsets retention has removed before the group committed them.
    pub(super) lost: BTreeMap<Partition, i64>,
}

/// Where every partition of `topic` stands for the group of `client`.
pub(super) fn look<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<Found> {
    let partitions = partitions(client, topic)?;
    let list = |offset| list(topic, partitions.iter().map(|partition| (*partition, offset)));
    let lows = offsets(&client.offsets_for_times(list(Offset::Beginning)?, LIMIT)?)?;
    let ends = ends(client, topic, &partitions)?;
    let committed = offsets(&client.committed_offsets(list(Offset::Invalid)?, LIMIT)?)?;
    let mut found = Found { positions: BTreeMap::new(), lost: BTreeMap::new() };
    for (partition, end) in ends {
        let low = lows.get(&partition).copied().unwrap_or(0);
        let committed = committed.get(&partition).copied().unwrap_or(low);
        found.positions.insert(partition, Position { committed: committed.max(low), end });
        if committed < low {
            found.lost.insert(partition, low - committed);
        }
    }
    Ok(found)
}

/// Where `partitions` end for `client`: if it reads what is committed alone, before the first transaction that is still open.
pub(super) fn ends<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
) -> KafkaResult<Offsets> {
    let list = list(topic, partitions.iter().map(|partition| (*partition, Offset::End)))?;
    offsets(&client.offsets_for_times(list, LIMIT)?)
}

/// The partitions of `topic`.
pub(super) fn partitions<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<Vec<Partition>> {
    let metadata = client.fetch_metadata(Some(topic), LIMIT)?;
    let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
    let found = metadata.topics().iter().find(|found| found.name() == topic).ok_or(unknown)?;
    match found.error() {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None => {
            Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
        }
    }
}

/// Whether this says that there is no such topic, or not yet a leader of it.
pub(super) fn is_unknown(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        LeaderNotAvailable, UnknownPartition, UnknownTopic, UnknownTopicOrPartition,
    };
    matches!(code, UnknownTopic | UnknownPartition | UnknownTopicOrPartition | LeaderNotAvailable)
}

/// Offsets as the driver takes them.
pub(super) fn list(
    topic: &str,
    offsets: impl IntoIterator<Item = (Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

/// Offsets as the driver gives them; those that say nothing are left out.
fn offsets(list: &TopicPartitionList) -> KafkaResult<Offsets> {
    let mut offsets = Offsets::new();
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}
