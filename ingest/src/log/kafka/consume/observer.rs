//! Observes the offsets of the topic, and finds partitions whose end no record will reach.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{consumer::BaseConsumer, error::KafkaResult};

use super::{
    super::{
        context::Context,
        offsets::{Leaderless, TopicOffsets, fetch_ends, fetch_partitions},
    },
    reader::TopicSource,
};
use crate::log::{Offsets, Partition, Position};

/// The number of partitions that may be read after one query.
const READS_PER_QUERY: usize = 10;

/// The clients that query the offsets, and the result of the last query.
#[derive(Default)]
pub(super) struct OffsetObserver {
    clients: Option<Clients>,
    /// The last readable offset of every partition: where its first open transaction begins.
    readable: Offsets,
    /// The idle partitions of the last query.
    idle: BTreeMap<Partition, Position>,
    /// The positions already read up to their end. Records at those offsets never change.
    read: BTreeMap<Partition, Position>,
}

struct Clients {
    /// Sees committed records.
    reader: BaseConsumer<Context>,
    /// Sees all records.
    uncommitted: BaseConsumer<Context>,
}

impl OffsetObserver {
    /// Queries the offsets. The ends include the records of open transactions.
    pub(super) fn query(&mut self, source: &TopicSource) -> KafkaResult<TopicOffsets> {
        let clients = match self.clients.take() {
            Some(clients) => clients,
            None => Clients { reader: source.client()?, uncommitted: source.uncommitted_client()? },
        };
        let Clients { reader, uncommitted } = self.clients.insert(clients);
        // The clients have no assignment: a poll only runs their callbacks.
        while reader.poll(Duration::ZERO).is_some() || uncommitted.poll(Duration::ZERO).is_some() {}
        let mut found = source.fetch(reader, Leaderless::Allow)?;
        // This updates what the client knows of the topic.
        fetch_partitions(uncommitted, &source.topic)?;
        let known: Vec<_> = found.ends.keys().copied().collect();
        let ends = fetch_ends(uncommitted, &source.topic, &known, Leaderless::Allow)?;
        self.readable = std::mem::replace(&mut found.ends, ends);
        Ok(found)
    }

    /// `positions` with every end limited to what can be read: nothing without a leader.
    pub(super) fn readable(
        &self,
        mut positions: BTreeMap<Partition, Position>,
    ) -> BTreeMap<Partition, Position> {
        for (partition, at) in &mut positions {
            let readable = self.readable.get(partition).copied().unwrap_or(at.committed);
            at.end = at.end.min(readable);
        }
        positions
    }

    /// Records that a partition was read up to this position's end.
    pub(super) fn mark_read(&mut self, partition: Partition, at: Position) {
        self.read.insert(partition, at);
    }

    /// Of the partitions that are `idle` now, returns some that were so at the last query, are
    /// readable to their end, and were not read there yet. Offsets after an open transaction are
    /// excluded: they may still become records.
    pub(super) fn unmoved(
        &mut self,
        mut idle: BTreeMap<Partition, Position>,
    ) -> Vec<(Partition, Position)> {
        idle.retain(|partition, at| self.readable.get(partition) == Some(&at.end));
        let before = std::mem::replace(&mut self.idle, idle);
        let again = self.idle.iter().filter(|(partition, at)| before.get(partition) == Some(at));
        let unread = again.filter(|(partition, at)| self.read.get(partition) != Some(at));
        unread.map(|(partition, at)| (*partition, *at)).take(READS_PER_QUERY).collect()
    }
}
