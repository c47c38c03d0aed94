//! The partitions of a member and their fetched records. Decides what a poll returns, what may be
//! committed, and how long a revoked partition is kept. Calls nothing of the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use shared::timestamp::Timestamp;

use super::{buffer::RecordBuffer, held::Held};
use crate::log::{Offsets, Partition, Position, Record};

/// The assignment of one member.
pub(super) struct Assignment {
    state: Mutex<State>,
    /// Notified when a commit or the membership ends.
    moved: Condvar,
    /// The limit on the bytes of buffered records.
    limit: usize,
}

/// The partitions to fetch from. Each change of the assignment makes a different plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchPlan {
    fetch: Fetch,
    changes: u64,
}

/// The partitions to fetch from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    All,
    Only(Partition),
    None,
}

struct State {
    held: BTreeMap<Partition, Held>,
    /// The number of times that partitions were gained or lost.
    changes: u64,
    buffer: RecordBuffer,
    /// The number of commits in flight.
    committing: usize,
    ended: bool,
    /// The last time that a record arrived, a partition was gained, or a commit succeeded.
    progress: Instant,
    /// Since when the buffer is empty although partitions have a backlog.
    starved_since: Option<Instant>,
    /// Since when every commit has failed.
    refused_since: Option<Instant>,
}

impl Assignment {
    pub(super) fn new(limit: usize) -> Self {
        let state = State {
            held: BTreeMap::new(),
            changes: 0,
            buffer: RecordBuffer::default(),
            committing: 0,
            ended: false,
            progress: Instant::now(),
            starved_since: None,
            refused_since: None,
        };
        Self { state: Mutex::new(state), moved: Condvar::new(), limit }
    }

    /// Adds assigned partitions, with the offsets at which they begin. That of a partition without
    /// a leader may not be known.
    pub(super) fn gain(&self, begins: impl IntoIterator<Item = (Partition, Option<i64>)>) {
        let mut state = self.state.lock();
        state.progress = Instant::now();
        state.changes += 1;
        for (partition, begin) in begins {
            state.held.entry(partition).or_insert_with(|| Held::new(begin));
        }
    }

    /// The number of offsets of each partition that are before `lows` and were not fetched. Each is
    /// returned once.
    pub(super) fn removed(&self, lows: &Offsets) -> Offsets {
        let mut state = self.state.lock();
        let mut removed = Offsets::new();
        for (partition, low) in lows {
            let Some(held) = state.held.get_mut(partition) else { continue };
            let count = held.take_removed(*low);
            if count > 0 {
                removed.insert(*partition, count);
            }
        }
        removed
    }

    pub(super) fn held(&self) -> BTreeSet<Partition> {
        self.state.lock().held.keys().copied().collect()
    }

    pub(super) fn oldest_waiting(&self) -> Option<Timestamp> {
        self.state.lock().buffer.oldest()
    }

    /// Removes revoked partitions and their buffered records. Waits for the commit of polled
    /// records, at most for `timeout`. Returns the number of partitions with uncommitted records.
    pub(super) fn lose(&self, partitions: &[Partition], timeout: Duration) -> usize {
        let mut state = self.state.lock();
        state.changes += 1;
        state.buffer.remove(partitions);
        let uncommitted = |state: &State| {
            let held = partitions.iter().filter_map(|partition| state.held.get(partition));
            held.filter(|held| held.polled > held.committed).count()
        };
        let waiting =
            |state: &mut State| !state.ended && (state.committing > 0 || uncommitted(state) > 0);
        self.moved.wait_while_for(&mut state, waiting, timeout);
        let left = uncommitted(&state);
        state.held.retain(|partition, _| !partitions.contains(partition));
        left
    }

    /// Buffers a record of an assigned partition. Returns whether the buffer was empty.
    pub(super) fn push(&self, record: Record) -> bool {
        let state = &mut *self.state.lock();
        let Some(held) = state.held.get_mut(&record.partition) else { return false };
        held.fetch(record.offset);
        state.progress = Instant::now();
        let first = state.buffer.is_empty();
        state.buffer.push(record);
        first
    }

    /// Records that a partition was fetched to its end.
    pub(super) fn at_end(&self, partition: Partition) {
        if let Some(held) = self.state.lock().held.get_mut(&partition) {
            held.at_end = true;
        }
    }

    /// Decides which partitions to fetch from, given the plan `before`. All, until an eighth of the
    /// buffer is full; then one at a time, until it fills half of the buffer, so that a poll finds
    /// many records of it; none while the buffer is full, until a quarter of it is free.
    pub(super) fn fetch_plan(&self, before: FetchPlan) -> FetchPlan {
        let state = &*self.state.lock();
        let full = if before.fetch == Fetch::None { self.limit / 4 * 3 } else { self.limit };
        let has_more = |partition| state.held.get(&partition).is_some_and(|held| !held.at_end);
        let fetch = match state.buffer.bytes() {
            waiting if waiting >= full => Fetch::None,
            waiting if waiting < self.limit / 8 => Fetch::All,
            _ => state.buffer.next_below(self.limit / 2, has_more).map_or(Fetch::All, Fetch::Only),
        };
        FetchPlan { fetch, changes: state.changes }
    }

    /// Returns the next records, about `bytes` of them and mostly of one partition, and the offsets
    /// after them. Returns at least one record unless the buffer is empty.
    pub(super) fn take(&self, bytes: usize) -> (Vec<Record>, Offsets) {
        let state = &mut *self.state.lock();
        let taken = state.buffer.take(bytes);
        // The records of a partition are in order: its last one overwrites the others.
        let ends: Offsets =
            taken.iter().map(|record| (record.partition, record.offset + 1)).collect();
        for (partition, end) in &ends {
            if let Some(held) = state.held.get_mut(partition) {
                held.polled = Some(*end);
            }
        }
        (taken, ends)
    }

    /// Returns those of `offsets` that are due: of assigned partitions, beyond the committed
    /// offset, and not after what was polled. An offset after that belongs to an earlier assignment
    /// of the partition, which may now be read again. Unless it returns nothing, the caller must
    /// report the outcome to [`Assignment::end_commit`].
    pub(super) fn begin_commit(&self, offsets: &Offsets) -> Offsets {
        let mut state = self.state.lock();
        let due = |(partition, offset): (&Partition, &i64)| {
            let held = state.held.get(partition)?;
            let is_due = Some(*offset) > held.committed && Some(*offset) <= held.polled;
            is_due.then_some((*partition, *offset))
        };
        let due: Offsets = offsets.iter().filter_map(due).collect();
        state.begin(due)
    }

    pub(super) fn end_commit(&self, offsets: &Offsets, succeeded: bool) {
        let state = &mut *self.state.lock();
        state.committing -= 1;
        if succeeded {
            (state.progress, state.refused_since) = (Instant::now(), None);
            for (partition, offset) in offsets {
                if let Some(held) = state.held.get_mut(partition) {
                    held.committed = held.committed.max(Some(*offset));
                }
            }
        } else {
            state.refused_since.get_or_insert_with(Instant::now);
        }
        self.moved.notify_all();
    }

    /// The positions of partitions that have a backlog although all their fetched records are
    /// committed. None while records are buffered: fetching may be paused then.
    pub(super) fn idle(
        &self,
        positions: &BTreeMap<Partition, Position>,
    ) -> BTreeMap<Partition, Position> {
        let state = self.state.lock();
        let done = |held: &Held| state.buffer.is_empty() && held.fetched <= held.committed;
        let idle = |partition: &Partition| state.held.get(partition).is_some_and(done);
        let idle =
            positions.iter().filter(|(partition, at)| at.committed < at.end && idle(partition));
        idle.map(|(partition, at)| (*partition, *at)).collect()
    }

    /// Of `offsets` without an uncommitted record before them, returns those that are due: of
    /// assigned partitions of which nothing was fetched since, also if that offset was committed
    /// before. The caller reports the outcome as with [`Assignment::begin_commit`].
    pub(super) fn begin_commit_ends(&self, offsets: &Offsets) -> Offsets {
        let mut state = self.state.lock();
        let due = |(partition, offset): (&Partition, &i64)| {
            let held = state.held.get(partition).filter(|held| held.fetched <= held.committed)?;
            (Some(offset) >= held.committed.as_ref()).then_some((*partition, *offset))
        };
        let due: Offsets = offsets.iter().filter_map(due).collect();
        state.begin(due)
    }

    /// Whether, for `limit`, no record arrived despite a backlog, or every commit failed.
    pub(super) fn is_stalled(
        &self,
        positions: &BTreeMap<Partition, Position>,
        limit: Duration,
    ) -> bool {
        let state = &mut *self.state.lock();
        let refused = state.refused_since.is_some_and(|since| since.elapsed() >= limit);
        let more = |(partition, held): (&Partition, &Held)| {
            let position = positions.get(partition);
            position
                .is_some_and(|at| held.fetched.unwrap_or(at.committed).max(at.committed) < at.end)
        };
        if !state.buffer.is_empty() || !state.held.iter().any(more) {
            state.starved_since = None;
            return refused;
        }
        let since = *state.starved_since.get_or_insert_with(Instant::now);
        refused || since.max(state.progress).elapsed() >= limit
    }

    /// Restarts the measurement of stalls: the brokers do not reply, so the member is not at fault.
    pub(super) fn excuse(&self) {
        let state = &mut *self.state.lock();
        (state.starved_since, state.refused_since) = (None, None);
    }

    /// Ends the membership: nothing is returned or waited for afterwards.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.buffer = RecordBuffer::default();
        self.moved.notify_all();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }
}

impl FetchPlan {
    /// The plan before the first assignment.
    pub(super) const NOTHING: Self = Self { fetch: Fetch::None, changes: 0 };

    /// Whether to fetch from `partition`.
    pub(super) fn includes(self, partition: Partition) -> bool {
        match self.fetch {
            Fetch::All => true,
            Fetch::Only(next) => partition == next,
            Fetch::None => false,
        }
    }
}

impl State {
    fn begin(&mut self, due: Offsets) -> Offsets {
        if due.is_empty() || self.ended {
            return Offsets::new();
        }
        self.committing += 1;
        due
    }
}

#[cfg(test)]
mod tests;
