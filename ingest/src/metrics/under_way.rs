//! What was polled and is not committed yet: how much it is, and how old the oldest of it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::timestamp::Timestamp;

/// The micro-batches under way, in the order in which they were polled.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<VecDeque<MicroBatch>>);

#[derive(Clone, Copy, Debug)]
struct MicroBatch {
    records: usize,
    oldest: Timestamp,
}

impl UnderWay {
    /// A micro-batch of `records` was polled; the oldest of them was appended at `oldest`.
    pub(crate) fn begin(&self, records: usize, oldest: Timestamp) {
        self.lock().push_back(MicroBatch { records, oldest });
    }

    /// The first `batches` of them are committed.
    pub(crate) fn end(&self, batches: usize) {
        let mut all = self.lock();
        let batches = batches.min(all.len());
        all.drain(..batches);
    }

    /// A new consumer begins where the last one committed.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    /// How many records are under way, and when the oldest of them was appended.
    pub(crate) fn look(&self) -> (usize, Option<Timestamp>) {
        let all = self.lock();
        (all.iter().map(|batch| batch.records).sum(), all.iter().map(|batch| batch.oldest).min())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<MicroBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
