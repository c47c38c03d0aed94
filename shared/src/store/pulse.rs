//! Whether the store makes progress with the reads of one query.
//!
//! A long reply needs many reads, and one of its parts may need several: it is the reads that must
//! not stall, not the parts. Each read reports to the pulse in whose scope it runs, if there is
//! one.

use std::{pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    /// The pulse of the query that the task works on.
    static PULSE: Arc<Pulse>;
}

/// The moment at which the store last made progress with the reads of one query.
#[derive(Debug)]
pub struct Pulse(Mutex<Instant>);

impl Pulse {
    /// A pulse that begins now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    /// Awaits a part of the query. Returns `None` when its reads have made no progress for `limit`;
    /// the time before this call does not count.
    pub async fn unless_stalled<F: Future>(
        self: &Arc<Self>,
        limit: Duration,
        part: F,
    ) -> Option<F::Output> {
        self.beat();
        let mut part = pin!(PULSE.scope(Arc::clone(self), part));
        loop {
            let last = *self.0.lock();
            if let Ok(done) = timeout_at(last + limit, &mut part).await {
                return Some(done);
            }
            if *self.0.lock() == last {
                return None;
            }
        }
    }

    /// The pulse of the query that this task works on.
    pub(super) fn of_task() -> Option<Arc<Self>> {
        PULSE.try_with(Arc::clone).ok()
    }

    /// Notes progress of the query that this task works on, if any.
    pub(super) fn beat_of_task() {
        PULSE.try_with(|pulse| pulse.beat()).ok();
    }

    /// Notes progress.
    pub(super) fn beat(&self) {
        *self.0.lock() = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(12);

    /// Works for `seconds`, with progress every `pause` seconds.
    async fn work(seconds: u64, pause: u64) {
        for _ in 0..seconds / pause {
            sleep(Duration::from_secs(pause)).await;
            Pulse::of_task().unwrap().beat();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_part_without_progress_is_given_up() {
        let (pulse, begun) = (Pulse::new(), Instant::now());
        assert_eq!(pulse.unless_stalled(LIMIT, work(600, 10)).await, Some(()));
        assert_eq!(begun.elapsed().as_secs(), 600);
        // The client reads meanwhile.
        sleep(Duration::from_secs(600)).await;
        assert_eq!(pulse.unless_stalled(LIMIT, work(10, 10)).await, Some(()));
        let begun = Instant::now();
        let stalled = async {
            work(10, 5).await;
            std::future::pending::<()>().await;
        };
        assert_eq!(pulse.unless_stalled(LIMIT, stalled).await, None);
        assert_eq!(begun.elapsed().as_secs(), 22);
    }
}
