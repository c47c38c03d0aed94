//! The buffer of fetched records. Polls empty it partition by partition.
//!
//! All events of a user are in one partition, and the store's work grows with the number of users
//! in a micro-batch. Records of one partition belong to fewer users than the same number of records
//! from several. Therefore a poll returns the records of one partition before those of the next. A
//! small backlog is returned whole, like from a single queue.

use std::collections::{BTreeMap, VecDeque};

use shared::timestamp::Timestamp;

use super::super::record;
use crate::log::{Partition, Record};

/// Records by partition, in the order of their arrival.
#[derive(Default)]
pub(super) struct RecordBuffer {
    partitions: BTreeMap<Partition, PartitionBuffer>,
    /// The partitions with records, in the order in which polls return them.
    order: VecDeque<Partition>,
    bytes: usize,
}

/// The records of one partition, and their size in bytes.
#[derive(Default)]
struct PartitionBuffer {
    records: VecDeque<Record>,
    bytes: usize,
}

impl RecordBuffer {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The approximate memory of all records in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next partition in order that `has_more` and has less than `bytes` buffered.
    pub(super) fn next_below(
        &self,
        bytes: usize,
        has_more: impl Fn(Partition) -> bool,
    ) -> Option<Partition> {
        let below = |partition: &Partition| {
            self.partitions[partition].bytes < bytes && has_more(*partition)
        };
        self.order.iter().copied().find(below)
    }

    /// The append time of the oldest record. The records of a partition are in that order.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.partitions.values().filter_map(|held| Some(held.records.front()?.append_time)).min()
    }

    pub(super) fn push(&mut self, record: Record) {
        let partition = record.partition;
        let held = self.partitions.entry(partition).or_default();
        if held.records.is_empty() {
            self.order.push_back(partition);
        }
        let size = record::size(&record);
        self.bytes += size;
        held.bytes += size;
        held.records.push_back(record);
    }

    /// Removes and returns about `bytes` of the next records, at least one unless it is empty.
    /// Starts no partition once half of `bytes` is reached. A partition with records left moves to
    /// the end of the order, so that one with a constant backlog does not starve the others.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Record> {
        let (mut taken, mut sizes) = (Vec::new(), 0);
        while sizes < (bytes / 2).max(1)
            && let Some(partition) = self.order.pop_front()
        {
            let PartitionBuffer { mut records, bytes: before } =
                self.partitions.remove(&partition).unwrap_or_default();
            let sizes_before = sizes;
            let fitting = records.iter().take_while(|record| {
                let fits = sizes < bytes.max(1);
                sizes += if fits { record::size(record) } else { 0 };
                fits
            });
            let left = records.split_off(fitting.count());
            if taken.is_empty() {
                // Reuses the allocation.
                taken = records.into();
            } else {
                taken.extend(records);
            }
            if !left.is_empty() {
                self.partitions.insert(
                    partition,
                    PartitionBuffer { records: left, bytes: before - (sizes - sizes_before) },
                );
                self.order.push_back(partition);
            }
        }
        self.bytes -= sizes;
        taken
    }

    pub(super) fn remove(&mut self, partitions: &[Partition]) {
        self.order.retain(|partition| !partitions.contains(partition));
        for partition in partitions {
            self.bytes -= self.partitions.remove(partition).unwrap_or_default().bytes;
        }
    }
}
