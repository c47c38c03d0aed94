//! The records that were polled and are not committed: their number, and the age of the oldest.

use std::collections::VecDeque;

use parking_lot::Mutex;
use shared::timestamp::Timestamp;

/// The micro-batches in flight, in the order in which they were polled.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Polled>,
    /// The last time that records were in flight, or that there was no backlog.
    moved: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Polled {
    records: usize,
    oldest: Timestamp,
}

/// The records in flight at one instant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Backlog {
    /// The number of records in flight.
    pub(super) records: usize,
    /// The append time of the oldest uncommitted record; `None` without a backlog.
    pub(super) oldest: Option<Timestamp>,
}

impl InFlight {
    /// Adds a micro-batch of `records`, of which the oldest was appended at `oldest`.
    pub(super) fn begin(&self, records: usize, oldest: Timestamp) {
        self.0.lock().batches.push_back(Polled { records, oldest });
    }

    /// Removes the first `batches`, which are committed.
    pub(super) fn end(&self, batches: usize) {
        let mut state = self.0.lock();
        let batches = batches.min(state.batches.len());
        state.batches.drain(..batches);
    }

    /// Removes all of them: a new run of the consumer begins at the committed offsets.
    pub(super) fn clear(&self) {
        self.0.lock().batches.clear();
    }

    /// Measures the records in flight at `now`. `waiting` is the append time of the oldest record
    /// that waits for a poll. The age of a backlog that was not fetched yet is unknown: it counts
    /// from the last time that `moved` was set.
    pub(super) fn measure(
        &self,
        has_backlog: bool,
        waiting: Option<Timestamp>,
        now: Timestamp,
    ) -> Backlog {
        let state = &mut *self.0.lock();
        let oldest = state.batches.iter().map(|batch| batch.oldest).chain(waiting).min();
        if oldest.is_some() || !has_backlog {
            state.moved = Some(now);
        }
        let since = *state.moved.get_or_insert(now);
        let records = state.batches.iter().map(|batch| batch.records).sum();
        Backlog { records, oldest: has_backlog.then(|| oldest.unwrap_or(since)) }
    }
}

#[cfg(test)]
mod tests {
    use shared::timestamp::SECOND;

    use super::*;

    #[test]
    fn what_is_left_grows_older_also_while_nothing_of_it_is_polled() {
        let (in_flight, start) = (InFlight::default(), Timestamp::default());
        assert_eq!(in_flight.measure(false, None, start), Backlog { records: 0, oldest: None });
        in_flight.begin(7, start - SECOND);
        assert_eq!(
            in_flight.measure(true, None, start + SECOND),
            Backlog { records: 7, oldest: Some(start - SECOND) }
        );
        in_flight.end(1);
        assert_eq!(
            in_flight.measure(true, None, start + 2 * SECOND),
            Backlog { records: 0, oldest: Some(start + SECOND) }
        );
        assert_eq!(
            in_flight.measure(true, None, start + 9 * SECOND),
            Backlog { records: 0, oldest: Some(start + SECOND) }
        );
        assert_eq!(
            in_flight.measure(false, None, start + 10 * SECOND),
            Backlog { records: 0, oldest: None }
        );
    }

    #[test]
    fn what_waits_for_its_partition_s_turn_may_be_the_oldest() {
        let (in_flight, start) = (InFlight::default(), Timestamp::default());
        in_flight.begin(1, start);
        for (waiting, oldest) in
            [(None, start), (Some(start - SECOND), start - SECOND), (Some(start + 1), start)]
        {
            assert_eq!(
                in_flight.measure(true, waiting, start + SECOND),
                Backlog { records: 1, oldest: Some(oldest) }
            );
        }
        assert_eq!(
            in_flight.measure(false, None, start + SECOND),
            Backlog { records: 1, oldest: None }
        );
    }
}
