//! Reads of the embedded store on threads that may block, and how many of them run at a time.

use std::{
    sync::{Arc, Weak},
    thread,
};

use crate::store::{Pulse, Result, StoreError};

/// The number of point reads that run at the same time: half of the threads that may block.
pub(super) const POINTS: usize = 16;

/// The number of rows after which a read looks at its caller and reports its progress.
const ROWS: u32 = 16;

/// The number of range reads that run at the same time.
pub(super) fn ranges_at_a_time() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get() - 1).max(1)
}

/// The caller of a read, who may leave, and the progress of the read.
#[derive(Debug)]
pub(super) struct Scan {
    /// Dropped when the caller no longer waits.
    caller: Weak<()>,
    pulse: Option<Arc<Pulse>>,
    rows: u32,
}

impl Scan {
    /// A read for `caller` and the query that the task works on.
    pub(super) fn of(caller: &Arc<()>) -> Self {
        Self { caller: Arc::downgrade(caller), pulse: Pulse::of_task(), rows: 0 }
    }

    /// Counts a row that is about to be read.
    ///
    /// # Errors
    /// The caller has given up; nobody receives the error.
    pub(super) fn row(&mut self) -> Result<()> {
        if self.rows.is_multiple_of(ROWS) {
            if self.caller.strong_count() == 0 {
                return Err(StoreError::Unavailable("the caller of a read has left".to_owned()));
            }
            if let Some(pulse) = &self.pulse {
                pulse.beat();
            }
        }
        self.rows = self.rows.wrapping_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::time::timeout;

    use super::super::{EmbeddedStore, EmbeddedStoreOptions, ranges_at_a_time};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn opened(dir: &std::path::Path) -> EmbeddedStore {
        let options = EmbeddedStoreOptions { reserve_bytes: 0, ..EmbeddedStoreOptions::default() };
        EmbeddedStore::open(dir, options).unwrap()
    }

    #[tokio::test]
    async fn a_read_whose_caller_has_left_ends_and_gives_its_permit_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path());
        let long = store.range(|_, scan| {
            let begun = Instant::now();
            while begun.elapsed() < 2 * PATIENCE {
                scan.row()?;
            }
            Ok(())
        });
        assert!(timeout(Duration::from_millis(50), long).await.is_err());
        let all = store.0.ranges.acquire_many(u32::try_from(ranges_at_a_time()).unwrap());
        assert!(timeout(PATIENCE, all).await.is_ok(), "the read continues");
    }

    /// As in a stream that reads ahead: the caller waits for one read and does not poll the other.
    #[tokio::test]
    async fn a_read_that_is_not_polled_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path());
        let reads = || store.range(|_, _| Ok(()));
        let mut ahead: Vec<_> = (0..=ranges_at_a_time()).map(|_| Box::pin(reads())).collect();
        for read in &mut ahead {
            assert!(futures_util::poll!(read).is_pending());
        }
        assert!(timeout(PATIENCE, reads()).await.is_ok(), "an idle read has the permit");
    }
}
