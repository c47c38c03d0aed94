//! Queries the brokers for the offsets of a topic, all partitions at once. Every call blocks.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::Client,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

pub(super) use self::ends::{Leaderless, REQUEST_TIMEOUT, fetch_ends, partition_list};
use super::begin::{Begin, Committed};
use crate::log::{Offsets, Partition, Position, TopicId};

mod ends;

/// The offsets of a topic as the brokers report them.
pub(super) struct TopicOffsets {
    /// The id of the topic.
    pub(super) topic: TopicId,
    /// The committed offsets of the group, also those that are none of the topic's.
    pub(super) committed: BTreeMap<Partition, Committed>,
    /// Where the group begins in every partition.
    pub(super) begins: BTreeMap<Partition, Begin>,
    /// The oldest offsets that retention has left.
    pub(super) lows: Offsets,
    /// The ends, up to where the client may read.
    pub(super) ends: Offsets,
}

/// Creates a client that also sees the records of open transactions.
pub(super) type Uncommitted<'a, C> = &'a dyn Fn() -> KafkaResult<BaseConsumer<C>>;

impl TopicOffsets {
    /// Where the group is in every partition, and where that ends.
    pub(super) fn positions(&self) -> BTreeMap<Partition, Position> {
        let begins = self.begins.iter();
        let position = |(partition, begin): (&Partition, &Begin)| {
            let end = self.ends.get(partition).copied().unwrap_or(begin.offset);
            (*partition, Position { committed: begin.offset, end: end.max(begin.offset) })
        };
        begins.map(position).collect()
    }
}

/// Fetches the offsets of every partition of `topic` for the group of `client`.
///
/// # Errors
/// [`KafkaError::MetadataFetch`] if the topic does not exist, or was created again meanwhile.
pub(super) fn fetch_offsets<C: ConsumerContext, D: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    leaderless: Leaderless,
    uncommitted: Uncommitted<'_, D>,
) -> KafkaResult<TopicOffsets> {
    let id = fetch_id(client, topic)?;
    // Unlike the query of the id, this updates what the client knows of the topic.
    let partitions = fetch_partitions(client, topic)?;
    let found = fetch_begins(client, topic, id, &partitions, leaderless, uncommitted)?;
    // Offsets are fetched by name. If the topic was created again meanwhile, they mix two topics.
    match fetch_id(client, topic)? == id {
        true => Ok(found),
        false => Err(other_topic()),
    }
}

/// The error of a request that meets another topic of the name.
pub(super) fn other_topic() -> KafkaError {
    KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicId)
}

/// Fetches the id of `topic`.
pub(super) fn fetch_id<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<TopicId> {
    Ok(TopicId::new(topic_ids::describe(client.client(), topic, REQUEST_TIMEOUT)?))
}

/// Fetches where the group of `client` begins in `partitions` of `topic`, which has this `id`.
pub(super) fn fetch_begins<C: ConsumerContext, D: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    id: TopicId,
    partitions: &[Partition],
    leaderless: Leaderless,
    uncommitted: Uncommitted<'_, D>,
) -> KafkaResult<TopicOffsets> {
    // In this order, an offset before the low watermark proves a removal, and one after the end a
    // loss, although records are appended, consumed and removed meanwhile.
    let lows = ends::fetch_lows(client, topic, partitions, leaderless)?;
    let committed = fetch_committed(client, topic, partitions)?;
    let known: Vec<_> = lows.keys().copied().collect();
    let ends = fetch_ends(client, topic, &known, leaderless)?;
    let is_after = |ends: &Offsets| {
        committed
            .iter()
            .any(|(partition, at)| ends.get(partition).is_some_and(|end| at.offset > *end))
    };
    // An operator may have committed an offset after an open transaction.
    let all_ends = match is_after(&ends) {
        true => fetch_ends(&uncommitted()?, topic, &known, leaderless)?,
        false => ends.clone(),
    };
    let begin = |partition: &Partition| {
        let committed = committed.get(partition).copied();
        let begin = match (lows.get(partition), all_ends.get(partition)) {
            (Some(low), Some(end)) => Begin::new(id, committed, *low, *end),
            _ if leaderless == Leaderless::Allow => Begin::without_ends(id, committed),
            _ => return None,
        };
        Some((*partition, begin))
    };
    let begins = partitions.iter().filter_map(begin).collect();
    Ok(TopicOffsets { topic: id, committed, begins, lows, ends })
}

fn fetch_committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
) -> KafkaResult<BTreeMap<Partition, Committed>> {
    let list =
        partition_list(topic, partitions.iter().map(|partition| (*partition, Offset::Invalid)))?;
    let mut committed = BTreeMap::new();
    for element in client.committed_offsets(list, REQUEST_TIMEOUT)?.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            // The driver panics on metadata that are not UTF-8, which another client can write.
            let metadata = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
            let at = Committed::parse(offset, &metadata.unwrap_or_default());
            committed.insert(element.partition(), at);
        }
    }
    Ok(committed)
}

/// Fetches the partitions of `topic`.
pub(super) fn fetch_partitions<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<Vec<Partition>> {
    fetch_partitions_within(client.client(), topic, REQUEST_TIMEOUT)
}

/// Fetches the partitions of `topic` with any client, at most for `limit`. This also updates what
/// the client knows of the topic.
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

/// Offsets to commit, in the driver's own type, with the `id` of their topic as metadata.
pub(super) fn commit_list(
    topic: &str,
    id: TopicId,
    offsets: &Offsets,
) -> KafkaResult<TopicPartitionList> {
    let offsets = offsets.iter().map(|(partition, at)| (*partition, Offset::Offset(*at)));
    let list = partition_list(topic, offsets)?;
    if let Some(metadata) = Committed::metadata(id) {
        for mut element in list.elements() {
            element.set_metadata(&metadata);
        }
    }
    Ok(list)
}
