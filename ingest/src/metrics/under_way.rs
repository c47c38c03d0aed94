//! What was polled and is not committed yet: how much it is, and how old the oldest of it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::timestamp::Timestamp;

/// The micro-batches under way, in the order in which they were polled.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<MicroBatch>,
    /// When there was last something under way, or nothing to do.
    moved: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct MicroBatch {
    records: usize,
    oldest: Timestamp,
}

impl UnderWay {
    /// A micro-batch of `records` was polled; the oldest of them was appended at `oldest`.
    pub(crate) fn begin(&self, records: usize, oldest: Timestamp) {
        self.lock().batches.push_back(MicroBatch { records, oldest });
    }

    /// The first `batches` of them are committed.
    pub(crate) fn end(&self, batches: usize) {
        let mut all = self.lock();
        let batches = batches.min(all.batches.len());
        all.batches.drain(..batches);
    }

    /// A new consumer begins where the last one committed.
    pub(crate) fn forget(&self) {
        self.lock().batches.clear();
    }

    /// How many records are under way at `now`, and since when the oldest that is not answered waits, if any is left; `waiting`
    /// is when the oldest was appended of those at hand that were not polled yet. How old others are nobody knows; they wait at
    /// least since there was something under way, or nothing to do.
    pub(crate) fn look(
        &self,
        left: bool,
        waiting: Option<Timestamp>,
        now: Timestamp,
    ) -> (usize, Option<Timestamp>) {
        let all = &mut *self.lock();
        let oldest = all.batches.iter().map(|batch| batch.oldest).chain(waiting).min();
        if oldest.is_some() || !left {
            all.moved = Some(now);
        }
        let since = *all.moved.get_or_insert(now);
        let records = all.batches.iter().map(|batch| batch.records).sum();
        (records, left.then(|| oldest.unwrap_or(since)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shared::timestamp::SECOND;

    use super::*;

    #[test]
    fn what_is_left_grows_older_also_while_nothing_of_it_is_polled() {
        let (under_way, start) = (UnderWay::default(), Timestamp::default());
        assert_eq!(under_way.look(false, None, start), (0, None));
        under_way.begin(7, start - SECOND);
        assert_eq!(under_way.look(true, None, start + SECOND), (7, Some(start - SECOND)));
        under_way.end(1);
        assert_eq!(under_way.look(true, None, start + 2 * SECOND), (0, Some(start + SECOND)));
        assert_eq!(under_way.look(true, None, start + 9 * SECOND), (0, Some(start + SECOND)));
        assert_eq!(under_way.look(false, None, start + 10 * SECOND), (0, None));
    }

    #[test]
    fn what_waits_for_its_partition_s_turn_may_be_the_oldest() {
        let (under_way, start) = (UnderWay::default(), Timestamp::default());
        under_way.begin(1, start);
        for (waiting, oldest) in
            [(None, start), (Some(start - SECOND), start - SECOND), (Some(start + 1), start)]
        {
            assert_eq!(under_way.look(true, waiting, start + SECOND), (1, Some(oldest)));
        }
        assert_eq!(under_way.look(false, None, start + SECOND), (1, None));
    }
}
