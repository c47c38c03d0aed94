//! Where the partitions stand, looked at again and again, and what that says of a partition that does not move.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{consumer::BaseConsumer, error::KafkaResult};

use super::super::{
    context::Context,
    look::{self, Found, look},
    reader::Reading,
};
use crate::log::{Offsets, Partition, Position};

/// How many partitions are read after one look.
const READ_AT_ONCE: usize = 10;

/// What looks, and what it saw last of the partitions that are longer than what was committed of them.
#[derive(Default)]
pub(super) struct Sight {
    clients: Option<Clients>,
    /// Up to where every partition can be read: not behind a transaction that is still open.
    readable: Offsets,
    idle: BTreeMap<Partition, Position>,
    /// Where it has read by itself: what lies there does not change.
    read: BTreeMap<Partition, Position>,
    /// What it has told to be lost.
    lost: BTreeMap<Partition, i64>,
}

/// What sees as far as can be read, and what sees all there is.
struct Clients {
    reader: BaseConsumer<Context>,
    onlooker: BaseConsumer<Context>,
}

impl Sight {
    /// Where the partitions stand now; their ends are those of all there is.
    pub(super) fn found(
        &mut self,
        reading: &Reading,
    ) -> KafkaResult<BTreeMap<Partition, Position>> {
        let clients = match self.clients.take() {
            Some(clients) => clients,
            None => Clients { reader: reading.client()?, onlooker: reading.onlooker()? },
        };
        let Clients { reader, onlooker } = self.clients.insert(clients);
        // They have nothing to read, but lines for our log.
        while reader.poll(Duration::ZERO).is_some() || onlooker.poll(Duration::ZERO).is_some() {}
        let Found { mut positions, lost } = look(reader, &reading.topic)?;
        self.readable = positions.iter().map(|(partition, at)| (*partition, at.end)).collect();
        let partitions: Vec<_> = positions.keys().copied().collect();
        for (partition, end) in look::ends(onlooker, &reading.topic, &partitions)? {
            positions.entry(partition).and_modify(|at| at.end = at.end.max(end));
        }
        if !lost.is_empty() && lost != self.lost {
            tracing::error!(
                topic = reading.topic,
                ?lost,
                "the topic's retention has removed records before they were handled; the numbers are offsets by partition"
            );
        }
        self.lost = lost;
        Ok(positions)
    }

    /// `positions` with the ends of what can be read.
    pub(super) fn as_far_as_readable(
        &self,
        mut positions: BTreeMap<Partition, Position>,
    ) -> BTreeMap<Partition, Position> {
        for (partition, at) in &mut positions {
            at.end = self.readable.get(partition).map_or(at.end, |readable| at.end.min(*readable));
        }
        positions
    }

    /// This was read by itself.
    pub(super) fn was_read(&mut self, partition: Partition, at: Position) {
        self.read.insert(partition, at);
    }

    /// Of the partitions that are `idle` now, some of those that were so at the last look, can be read to their ends, and were
    /// not read since. What lies behind a transaction that is still open may become records.
    pub(super) fn unmoved(
        &mut self,
        mut idle: BTreeMap<Partition, Position>,
    ) -> Vec<(Partition, Position)> {
        idle.retain(|partition, at| self.readable.get(partition) == Some(&at.end));
        let before = std::mem::replace(&mut self.idle, idle);
        let again = self.idle.iter().filter(|(partition, at)| before.get(partition) == Some(at));
        let unread = again.filter(|(partition, at)| self.read.get(partition) != Some(at));
        unread.map(|(partition, at)| (*partition, *at)).take(READ_AT_ONCE).collect()
    }
}
