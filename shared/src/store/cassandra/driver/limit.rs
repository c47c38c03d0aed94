//! The limit of the consumer's requests in flight, which follows what the servers can take.
//!
//! The driver has no back-pressure: it breaks a connection on which more than 1,024 requests that
//! were given up have waited for over a second. So a timeout or an overload halves the limit, once
//! for the requests that were in flight together, and every success raises it by one. A request
//! that its caller gave up keeps its permit until its deadline, because the servers still work on
//! it.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use crate::telemetry::Repeats;

/// The lowest limit.
const LEAST: usize = 16;

/// The limit of requests in flight.
#[derive(Debug)]
pub(super) struct Limit {
    permits: Semaphore,
    most: usize,
    /// How long the servers may work on a request.
    deadline: Duration,
    state: Mutex<State>,
    /// Whether the limit is the highest and all permits exist: then a success changes nothing.
    is_full: AtomicBool,
    created: Instant,
    /// The time of the last success, in milliseconds after `created`, plus one; 0 without any.
    succeeded: AtomicU64,
    /// A limit that is lowered and restored again and again is not worth a line each time.
    repeats: Repeats,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Permits above the limit, which are taken back when they are released.
    excess: usize,
    /// Failures of requests that began before this do not lower the limit again.
    lowered: Instant,
}

/// The permit for one request. Dropping it gives the request up.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    limit: &'a Arc<Limit>,
    permit: Option<SemaphorePermit<'a>>,
    began: Instant,
}

impl Limit {
    pub(super) fn new(most: usize, deadline: Duration) -> Arc<Self> {
        let created = Instant::now();
        Arc::new(Self {
            permits: Semaphore::new(most),
            most,
            deadline,
            state: Mutex::new(State { limit: most, excess: 0, lowered: created }),
            is_full: AtomicBool::new(true),
            created,
            succeeded: AtomicU64::new(0),
            repeats: Repeats::default(),
        })
    }

    /// The limit in force.
    pub(super) fn current(&self) -> usize {
        self.state.lock().limit
    }

    /// How long the servers may work on a request.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Waits for a permit.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot<'_> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        Slot { limit: self, permit, began: Instant::now() }
    }

    /// Whether a request has succeeded within the last `span`.
    pub(super) fn succeeded_within(&self, span: Duration) -> bool {
        let last = self.succeeded.load(Ordering::Relaxed);
        last > 0 && self.created.elapsed() < Duration::from_millis(last - 1) + span
    }

    /// Remembers that a request has succeeded, with or without a permit.
    pub(super) fn record_success(&self) {
        let elapsed = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.succeeded.store(elapsed + 1, Ordering::Relaxed);
    }

    /// Raises the limit.
    fn raise(&self) {
        if self.is_full.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if state.limit < self.most {
            state.limit += 1;
            if state.excess > 0 {
                state.excess -= 1;
            } else {
                self.permits.add_permits(1);
            }
            if state.limit == self.most
                && let Some(suppressed) = self.repeats.due("restored")
            {
                let limit = self.most;
                tracing::info!(limit, suppressed, "Cassandra keeps up again with all requests");
            }
        }
        self.is_full.store(state.limit == self.most, Ordering::Relaxed);
    }

    /// Halves the limit for the failure of a request that began at `began`.
    fn lower(&self, began: Instant) {
        let mut state = self.state.lock();
        if began < state.lowered {
            return;
        }
        state.lowered = Instant::now();
        let limit = (state.limit / 2).max(LEAST.min(self.most));
        let is_first = state.limit == self.most && limit < self.most;
        if let Some(suppressed) = is_first.then(|| self.repeats.due("lowered")).flatten() {
            tracing::warn!(
                limit,
                suppressed,
                "Cassandra is overloaded; fewer requests are in flight"
            );
        } else {
            tracing::debug!(limit, "Cassandra is overloaded; fewer requests are in flight");
        }
        state.excess += state.limit - limit;
        state.limit = limit;
        state.excess -= self.permits.forget_permits(state.excess);
        self.is_full.store(state.limit == self.most, Ordering::Relaxed);
    }

    /// Takes back a permit that is above the limit.
    fn takes_back(&self) -> bool {
        if self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        let takes = state.excess > 0;
        state.excess -= usize::from(takes);
        takes
    }
}

impl Slot<'_> {
    /// The request succeeded.
    pub(super) fn succeeded(mut self) {
        self.limit.record_success();
        self.limit.raise();
        self.release();
    }

    /// The request failed; with `overload`, because the servers could not keep up.
    pub(super) fn failed(mut self, overload: bool) {
        if overload {
            self.limit.lower(self.began);
        }
        self.release();
    }

    fn release(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.limit.takes_back()
        {
            permit.forget();
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        permit.forget();
        let (limit, until) = (Arc::clone(self.limit), self.began + self.limit.deadline);
        mem::drop(runtime.spawn(async move {
            sleep_until(until).await;
            if !limit.takes_back() {
                limit.permits.add_permits(1);
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(12);

    /// Lets time pass; tasks that wait for it run.
    async fn pass(time: Duration) {
        tokio::task::yield_now().await;
        tokio::time::advance(time).await;
        tokio::task::yield_now().await;
    }

    /// The permits that can be taken at once.
    fn free(limit: &Limit) -> usize {
        limit.permits.available_permits()
    }

    #[tokio::test(start_paused = true)]
    async fn an_overload_halves_the_limit_once_and_successes_restore_it() {
        let limit = Limit::new(100, DEADLINE);
        let (one, other) = (limit.slot().await, limit.slot().await);
        tokio::time::advance(Duration::from_secs(1)).await;
        one.failed(true);
        assert_eq!(free(&limit), 49, "one of 50 is in flight");
        other.failed(true);
        assert_eq!(free(&limit), 50, "it was in flight at the same time");
        for expected in [25, 16, 16] {
            tokio::time::advance(Duration::from_secs(1)).await;
            limit.slot().await.failed(true);
            assert_eq!(free(&limit), expected);
        }
        limit.slot().await.failed(false);
        assert_eq!(free(&limit), 16);
        for _ in 0..200 {
            limit.slot().await.succeeded();
        }
        assert_eq!(free(&limit), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn permits_above_a_lowered_limit_are_taken_back_as_they_are_released() {
        let limit = Limit::new(64, DEADLINE);
        let mut slots = Vec::new();
        for _ in 0..64 {
            slots.push(limit.slot().await);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        slots.pop().unwrap().failed(true);
        assert_eq!(free(&limit), 0);
        for slot in slots.drain(..31) {
            slot.failed(false);
        }
        assert_eq!(free(&limit), 0, "32 are in flight");
        for slot in slots {
            slot.failed(false);
        }
        assert_eq!(free(&limit), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_given_up_keeps_its_permit_until_its_deadline() {
        let limit = Limit::new(16, DEADLINE);
        let slot = limit.slot().await;
        pass(Duration::from_secs(5)).await;
        drop(slot);
        pass(Duration::from_secs(6)).await;
        assert_eq!(free(&limit), 15);
        pass(Duration::from_secs(2)).await;
        assert_eq!(free(&limit), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_halving_and_the_recovery_are_logged_once() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        let subscriber = subscriber.with_writer(move || Lines(Arc::clone(&written))).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let limit = Limit::new(100, DEADLINE);
        for _ in 0..2 {
            for _ in 0..3 {
                tokio::time::advance(Duration::from_secs(1)).await;
                limit.slot().await.failed(true);
            }
            for _ in 0..100 {
                limit.slot().await.succeeded();
            }
        }
        let text = String::from_utf8(lines.lock().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("WARN") && lines[0].contains("limit=50"), "{text}");
        assert!(lines[1].contains("INFO") && lines[1].contains("limit=100"), "{text}");
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_is_remembered_for_a_while() {
        let (limit, span) = (Limit::new(1, DEADLINE), Duration::from_secs(10));
        assert!(!limit.succeeded_within(span));
        limit.slot().await.succeeded();
        assert!(limit.succeeded_within(span));
        pass(span).await;
        assert!(!limit.succeeded_within(span));
    }
}
