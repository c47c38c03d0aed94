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
    partitions: BTreeMap<Partition, OfPartition>,
    /// The partitions with records, in the order of their turns.
    turns: VecDeque<Partition>,
    bytes: usize,
}

/// What waits of one partition, and how many bytes that is.
#[derive(Default)]
struct OfPartition {
    records: VecDeque<Record>,
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

    /// Whose turn is next of those that `may` have more and of which something waits, but less than `bytes`.
    pub(super) fn wanting(
        &self,
        bytes: usize,
        may: impl Fn(Partition) -> bool,
    ) -> Option<Partition> {
        let wants =
            |partition: &Partition| self.partitions[partition].bytes < bytes && may(*partition);
        self.turns.iter().copied().find(wants)
    }

    /// When the oldest of them was appended. Those of a partition come in that order.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.partitions.values().filter_map(|held| Some(held.records.front()?.append_time)).min()
    }

    pub(super) fn push(&mut self, record: Record) {
        let partition = record.partition;
        let held = self.partitions.entry(partition).or_default();
        if held.records.is_empty() {
            self.turns.push_back(partition);
        }
        let size = record::size(&record);
        self.bytes += size;
        held.bytes += size;
        held.records.push_back(record);
    }

    /// The next records, at least one when there is any, and at most about `bytes` of them; where half as many are of one
    /// partition, none of the next. A partition that has more left waits for all others: none waits for ever for one that always
    /// has something.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Record> {
        let (mut taken, mut sizes) = (Vec::new(), 0);
        while sizes < (bytes / 2).max(1)
            && let Some(partition) = self.turns.pop_front()
        {
            let OfPartition { mut records, bytes: waiting } =
                self.partitions.remove(&partition).unwrap_or_default();
            let before = sizes;
            let fitting = records.iter().take_while(|record| {
                let fits = sizes < bytes.max(1);
                sizes += if fits { record::size(record) } else { 0 };
                fits
            });
            let left = records.split_off(fitting.count());
            if taken.is_empty() {
                // They stay where they are.
                taken = records.into();
            } else {
                taken.extend(records);
            }
            if !left.is_empty() {
                self.partitions.insert(
                    partition,
                    OfPartition { records: left, bytes: waiting - (sizes - before) },
                );
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
            self.bytes -= self.partitions.remove(partition).unwrap_or_default().bytes;
        }
    }
}
