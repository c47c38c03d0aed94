//! The partitions that a member of the group has, and the records of theirs that wait to be polled. It decides what may be handed
//! out, what may be committed, and how long a partition is held back; it knows nothing of the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use shared::timestamp::Timestamp;

use super::{thread::lock, waiting::Waiting};
use crate::log::{Offsets, Partition, Position, Record};

/// What one member has.
pub(super) struct Assignment {
    state: Mutex<State>,
    /// A commit has ended, or the member is at its end.
    moved: Condvar,
    /// How many bytes of records may wait.
    limit: usize,
}

/// What should be fetched, and how often partitions had been gained or lost by then: each time the driver has to be told anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    fetch: Fetch,
    changes: u64,
}

/// Of which partitions records should be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    All,
    Only(Partition),
    None,
}

struct State {
    held: BTreeMap<Partition, Held>,
    /// How often partitions were gained or lost.
    changes: u64,
    waiting: Waiting,
    /// How many commits are on their way.
    committing: usize,
    ended: bool,
    /// When a record last came, a partition was gained, or a commit succeeded.
    progress: Instant,
    /// Since when nothing waits though there is more, as far as was looked.
    hungry_since: Option<Instant>,
    /// Since when every commit was refused.
    refused_since: Option<Instant>,
}

/// How far one partition has come since it was gained: each is the next offset, if there was any.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    fetched: Option<i64>,
    /// Nothing came behind that yet.
    at_end: bool,
    handed: Option<i64>,
    committed: Option<i64>,
}

impl Assignment {
    pub(super) fn new(limit: usize) -> Self {
        let state = State {
            held: BTreeMap::new(),
            changes: 0,
            waiting: Waiting::default(),
            committing: 0,
            ended: false,
            progress: Instant::now(),
            hungry_since: None,
            refused_since: None,
        };
        Self { state: Mutex::new(state), moved: Condvar::new(), limit }
    }

    /// These partitions are ours from now on.
    pub(super) fn gain(&self, partitions: &[Partition]) {
        let mut state = lock(&self.state);
        state.progress = Instant::now();
        state.changes += 1;
        for partition in partitions {
            state.held.entry(*partition).or_default();
        }
    }

    /// The partitions that are ours.
    pub(super) fn held(&self) -> BTreeSet<Partition> {
        lock(&self.state).held.keys().copied().collect()
    }

    /// When the oldest record was appended that waits to be polled.
    pub(super) fn oldest_waiting(&self) -> Option<Timestamp> {
        lock(&self.state).waiting.oldest()
    }

    /// These partitions go to another member. What waits of them is dropped; what was handed out of them is waited for, at most
    /// for `patience`, until it is committed. Answers how many of them are left with something that was not.
    pub(super) fn lose(&self, partitions: &[Partition], patience: Duration) -> usize {
        let mut state = lock(&self.state);
        state.changes += 1;
        state.waiting.drop_of(partitions);
        let under_way = |state: &State| {
            let held = partitions.iter().filter_map(|partition| state.held.get(partition));
            held.filter(|held| held.handed > held.committed).count()
        };
        let waiting =
            |state: &mut State| !state.ended && (state.committing > 0 || under_way(state) > 0);
        let waited = self.moved.wait_timeout_while(state, patience, waiting);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = under_way(&state);
        state.held.retain(|partition, _| !partitions.contains(partition));
        left
    }

    /// A record came; left out when it is of a partition that is not ours. Answers whether it is the first to wait.
    pub(super) fn push(&self, record: Record) -> bool {
        let state = &mut *lock(&self.state);
        let Some(held) = state.held.get_mut(&record.partition) else { return false };
        (held.fetched, held.at_end) = (Some(record.offset + 1), false);
        state.progress = Instant::now();
        let first = state.waiting.is_empty();
        state.waiting.push(record);
        first
    }

    /// All that there is of a partition has been fetched.
    pub(super) fn at_end(&self, partition: Partition) {
        if let Some(held) = lock(&self.state).held.get_mut(&partition) {
            held.at_end = true;
        }
    }

    /// Of which partitions more should be fetched, by what was answered `before`: of all until an eighth of the room is taken;
    /// then of one, in the order of their turns, until it fills half of the room, so that it has much to give; and of none while
    /// the room is taken, until a quarter of it is free.
    pub(super) fn wanted(&self, before: Wanted) -> Wanted {
        let state = &*lock(&self.state);
        let full = if before.fetch == Fetch::None { self.limit / 4 * 3 } else { self.limit };
        let has_more = |partition| state.held.get(&partition).is_some_and(|held| !held.at_end);
        let fetch = match state.waiting.bytes() {
            waiting if waiting >= full => Fetch::None,
            waiting if waiting < self.limit / 8 => Fetch::All,
            _ => state.waiting.wanting(self.limit / 2, has_more).map_or(Fetch::All, Fetch::Only),
        };
        Wanted { fetch, changes: state.changes }
    }

    /// The next records, at least one when there is any, about `bytes` of them and as far as possible of one partition; and the
    /// ends that they show.
    pub(super) fn take(&self, bytes: usize) -> (Vec<Record>, Offsets) {
        let state = &mut *lock(&self.state);
        let taken = state.waiting.take(bytes);
        // Those of a partition are in order: the last one counts.
        let ends: Offsets =
            taken.iter().map(|record| (record.partition, record.offset + 1)).collect();
        for (partition, end) in &ends {
            if let Some(held) = state.held.get_mut(partition) {
                held.handed = Some(*end);
            }
        }
        (taken, ends)
    }

    /// Of `offsets`, what is to be committed: of partitions that are ours, forward, and no further than was handed out.
    /// Whoever is answered something has to tell afterwards what became of it.
    pub(super) fn begin_commit(&self, offsets: &Offsets) -> Offsets {
        let mut state = lock(&self.state);
        let due = |(partition, offset): (&Partition, &i64)| {
            let held = state.held.get(partition)?;
            let offset = (*offset).min(held.handed?);
            (Some(offset) > held.committed).then_some((*partition, offset))
        };
        let due: Offsets = offsets.iter().filter_map(due).collect();
        state.begin(due)
    }

    /// A commit has ended.
    pub(super) fn end_commit(&self, offsets: &Offsets, succeeded: bool) {
        let state = &mut *lock(&self.state);
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

    /// The partitions of which everything that was fetched is committed, though they are longer: where they stand. None while
    /// records wait: then there may be no room for theirs.
    pub(super) fn idle(
        &self,
        positions: &BTreeMap<Partition, Position>,
    ) -> BTreeMap<Partition, Position> {
        let state = lock(&self.state);
        let done = |held: &Held| state.waiting.is_empty() && held.fetched <= held.committed;
        let idle = |partition: &Partition| state.held.get(partition).is_some_and(done);
        let idle =
            positions.iter().filter(|(partition, at)| at.committed < at.end && idle(partition));
        idle.map(|(partition, at)| (*partition, *at)).collect()
    }

    /// Of `offsets`, before which there are no records but those that are committed, what is to be committed: of partitions
    /// that are ours and of which nothing was fetched since. As with [`Assignment::begin_commit`], its end is to be told.
    pub(super) fn begin_pass(&self, offsets: &Offsets) -> Offsets {
        let mut state = lock(&self.state);
        let due = |(partition, offset): (&Partition, &i64)| {
            let held = state.held.get(partition).filter(|held| held.fetched <= held.committed)?;
            (Some(offset) > held.committed.as_ref()).then_some((*partition, *offset))
        };
        let due: Offsets = offsets.iter().filter_map(due).collect();
        state.begin(due)
    }

    /// Looks whether nothing has come for `limit` though there is more, or every commit was refused for that long.
    pub(super) fn is_stalled(
        &self,
        positions: &BTreeMap<Partition, Position>,
        limit: Duration,
    ) -> bool {
        let state = &mut *lock(&self.state);
        let refused = state.refused_since.is_some_and(|since| since.elapsed() >= limit);
        let more = |(partition, held): (&Partition, &Held)| {
            let position = positions.get(partition);
            position
                .is_some_and(|at| held.fetched.unwrap_or(at.committed).max(at.committed) < at.end)
        };
        if !state.waiting.is_empty() || !state.held.iter().any(more) {
            state.hungry_since = None;
            return refused;
        }
        let since = *state.hungry_since.get_or_insert_with(Instant::now);
        refused || since.max(state.progress).elapsed() >= limit
    }

    /// The brokers could not be asked: whatever does not go on, it is not for the member's sake.
    pub(super) fn excuse(&self) {
        let state = &mut *lock(&self.state);
        (state.hungry_since, state.refused_since) = (None, None);
    }

    /// The member is at its end: nothing is handed out or waited for any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.waiting = Waiting::default();
        self.moved.notify_all();
    }

    pub(super) fn is_ended(&self) -> bool {
        lock(&self.state).ended
    }
}

impl Wanted {
    /// Before anything was gained.
    pub(super) const NOTHING: Self = Self { fetch: Fetch::None, changes: 0 };

    /// Whether more of `partition` should be fetched.
    pub(super) fn has(self, partition: Partition) -> bool {
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
