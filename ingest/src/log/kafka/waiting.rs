//! The records that wait to be polled, handed out partition by partition.
//!
//! A user's events lie in one partition: the more records of one partition are handled together, the fewer users they are of,
//! and it is users that the store's work is counted in. So a partition whose turn it is gives all it has before the next one
//! does. When little waits, everything goes at once, as in one queue.

use std::collections::{BTreeMap, VecDeque};

use shared::timestamp::Timestamp;

use super::record;
use crate::log::{Partition, Record};

/// Records by partition, in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    records: BTreeMap<Partition, VecDeque<Record>>,
    /// The partitions with records, in the order of their turns.
    turns: VecDeque<Partition>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whose turn is next, of those of which anything waits.
    pub(super) fn next(&self) -> Option<Partition> {
        self.turns.front().copied()
    }

    /// When the oldest of them was appended. Those of a partition come in that order.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.records.values().filter_map(|records| Some(records.front()?.append_time)).min()
    }

    pub(super) fn push(&mut self, record: Record) {
        let partition = record.partition;
        let records = self.records.entry(partition).or_default();
        if records.is_empty() {
            self.turns.push_back(partition);
        }
        self.bytes += record::size(&record);
        records.push_back(record);
    }

    /// The next records, at least one when there is any, and at most about `bytes` of them; where half as many are of one
    /// partition, none of the next. A partition that has more left waits for all others: none waits for ever for one that always
    /// has something.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Record> {
        let (mut taken, mut sizes) = (Vec::new(), 0);
        while sizes < (bytes / 2).max(1)
            && let Some(partition) = self.turns.pop_front()
        {
            let mut records = self.records.remove(&partition).unwrap_or_default();
            while sizes < bytes.max(1)
                && let Some(record) = records.pop_front()
            {
                sizes += record::size(&record);
                taken.push(record);
            }
            if !records.is_empty() {
                self.records.insert(partition, records);
                self.turns.push_back(partition);
            }
        }
        self.bytes -= sizes;
        taken
    }

    /// Drops what waits of `partitions`.
    pub(super) fn drop_of(&mut self, partitions: &[Partition]) {
        self.turns.retain(|partition| !partitions.contains(partition));
        for partition in partitions {
            let dropped = self.records.remove(partition).unwrap_or_default();
            self.bytes -= dropped.iter().map(record::size).sum::<usize>();
        }
    }
}
