//! Queries the brokers for the first and the last offsets of partitions. Every call blocks.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use crate::log::{Offsets, Partition};

/// How long one request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How a query treats a partition whose ends are not known, because it has no leader or its leader
/// does not reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaderless {
    /// The query fails.
    Fail,
    /// The partition begins where the group committed, and has no ends.
    Allow,
}

/// Fetches the ends of `partitions` as `client` sees them: a client that reads only committed
/// records sees none after the first open transaction.
pub(crate) fn fetch_ends<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
    leaderless: Leaderless,
) -> KafkaResult<Offsets> {
    fetch_at(client, topic, partitions, Offset::End, leaderless)
}

/// Fetches the oldest offsets of `partitions` that retention has left.
pub(super) fn fetch_lows<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
    leaderless: Leaderless,
) -> KafkaResult<Offsets> {
    fetch_at(client, topic, partitions, Offset::Beginning, leaderless)
}

fn fetch_at<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
    at: Offset,
    leaderless: Leaderless,
) -> KafkaResult<Offsets> {
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    match fetch_together(client, topic, partitions, at, leaderless) {
        Err(error) if leaderless == Leaderless::Allow && is_passing(&error) => {
            fetch_apart(client, topic, partitions, at)
        }
        outcome => outcome,
    }
}

/// Queries each leader on its own, because the driver fails a query of several partitions if one
/// leader does not reply, if one partition has an error, or if none has a leader.
fn fetch_apart<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
    at: Offset,
) -> KafkaResult<Offsets> {
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let mut of_leaders = BTreeMap::<i32, Vec<Partition>>::new();
    for found in metadata.topics().iter().flat_map(|found| found.partitions()) {
        if partitions.contains(&found.id()) {
            of_leaders.entry(found.leader()).or_default().push(found.id());
        }
    }
    if of_leaders.values().map(Vec::len).sum::<usize>() < partitions.len() {
        return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition));
    }
    let mut offsets = Offsets::new();
    for (_, some) in of_leaders.into_iter().filter(|(leader, _)| *leader >= 0) {
        let query = |some: &[Partition]| fetch_together(client, topic, some, at, Leaderless::Allow);
        match query(&some) {
            // Another query of this leader would wait as long.
            Err(error) if is_silence(&error) => {}
            Err(error) if is_passing(&error) => {
                for partition in some {
                    match query(&[partition]) {
                        Err(error) if is_passing(&error) => {}
                        found => offsets.extend(found?),
                    }
                }
            }
            found => offsets.extend(found?),
        }
    }
    Ok(offsets)
}

/// Queries all partitions at once.
fn fetch_together<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[Partition],
    at: Offset,
    leaderless: Leaderless,
) -> KafkaResult<Offsets> {
    let list = partition_list(topic, partitions.iter().map(|partition| (*partition, at)))?;
    let mut offsets = Offsets::new();
    for element in client.offsets_for_times(list, REQUEST_TIMEOUT)?.elements() {
        match element.error() {
            Err(error) if leaderless == Leaderless::Allow && has_no_leader(&error) => continue,
            outcome => outcome?,
        }
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}

/// Offsets in the driver's own type.
pub(crate) fn partition_list(
    topic: &str,
    offsets: impl IntoIterator<Item = (Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

/// Whether `error` says that a partition has no leader at present.
fn has_no_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

/// Whether `error` says that a broker did not reply.
fn is_silence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{BrokerTransportFailure, OperationTimedOut};
    matches!(error.rdkafka_error_code(), Some(BrokerTransportFailure | OperationTimedOut))
}

/// Whether a query that failed with `error` may succeed for other partitions, or later.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        FencedLeaderEpoch, KafkaStorageError, NetworkException, OffsetNotAvailable,
        ReplicaNotAvailable, RequestTimedOut, UnknownLeaderEpoch, UnknownPartition,
    };
    let passing = matches!(
        error.rdkafka_error_code(),
        // The driver reports `UnknownPartition` if no partition has a leader.
        Some(
            FencedLeaderEpoch
                | KafkaStorageError
                | NetworkException
                | OffsetNotAvailable
                | ReplicaNotAvailable
                | RequestTimedOut
                | UnknownLeaderEpoch
                | UnknownPartition
        )
    );
    passing || is_silence(error) || has_no_leader(error)
}
