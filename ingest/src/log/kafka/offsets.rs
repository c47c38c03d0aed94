//! Queries the brokers for the offsets of a topic, all partitions at once. Every call blocks.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::Client,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use crate::log::{Offsets, Partition, Position};

/// How long one request may take.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The offsets of a topic as the brokers report them.
pub(super) struct TopicOffsets {
    /// The committed offset of the group and the end of every partition, up to where the client may
    /// read. Offsets that retention has removed count as committed.
    pub(super) positions: BTreeMap<Partition, Position>,
    /// The number of offsets that retention removed before the group committed them.
    pub(super) lost: BTreeMap<Partition, i64>,
}

/// Fetches the offsets of every partition of `topic` for the group of `client`.
pub(super) fn fetch_offsets<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<TopicOffsets> {
    let partitions = fetch_partitions(client, topic)?;
    let all =
        |offset| partition_list(topic, partitions.iter().map(|partition| (*partition, offset)));
    let lows = known_offsets(&client.offsets_for_times(all(Offset::Beginning)?, REQUEST_TIMEOUT)?)?;
    let ends = fetch_ends(client, topic, &partitions)?;
    let committed =
        known_offsets(&client.committed_offsets(all(Offset::Invalid)?, REQUEST_TIMEOUT)?)?;
    let mut found = TopicOffsets { positions: BTreeMap::new(), lost: BTreeMap::new() };
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

/// Fetches the low watermark of every partition of `topic`.
pub(super) fn fetch_lows<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<Offsets> {
    let partitions = fetch_partitions(client, topic)?;
    let lows = partitions.iter().map(|partition| (*partition, Offset::Beginning));
    known_offsets(&client.offsets_for_times(partition_list(topic, lows)?, REQUEST_TIMEOUT)?)
}

/// Fetches the ends of `partitions` as `client` sees them: a client that reads only committed
/// records sees none after the first open transaction.
pub(super) fn fetch_ends<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
) -> KafkaResult<Offsets> {
    let ends = partitions.iter().map(|partition| (*partition, Offset::End));
    known_offsets(&client.offsets_for_times(partition_list(topic, ends)?, REQUEST_TIMEOUT)?)
}

/// Fetches the partitions of `topic`.
pub(super) fn fetch_partitions<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<Vec<Partition>> {
    fetch_partitions_within(client.client(), topic, REQUEST_TIMEOUT)
}

/// Fetches the partitions of `topic` with any client, at most for `limit`.
pub(super) fn fetch_partitions_within<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    limit: Duration,
) -> KafkaResult<Vec<Partition>> {
    let metadata = client.fetch_metadata(Some(topic), limit)?;
    let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
    let found = metadata.topics().iter().find(|found| found.name() == topic).ok_or(unknown)?;
    match found.error() {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None => {
            Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
        }
    }
}

/// Whether `error` says that the topic does not exist.
pub(super) fn is_unknown_topic(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
    matches!(error.rdkafka_error_code(), Some(UnknownTopic | UnknownTopicOrPartition))
}

/// Offsets in the driver's own type.
pub(super) fn partition_list(
    topic: &str,
    offsets: impl IntoIterator<Item = (Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

/// The offsets of a driver's list; partitions without one are skipped.
fn known_offsets(list: &TopicPartitionList) -> KafkaResult<Offsets> {
    let mut offsets = Offsets::new();
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}
