//! The consumer: polls the log, pairs events into sessions, and commits what is written.
//!
//! Each poll is a micro-batch, which goes through write, read back, decide, write. Several are in
//! flight at once, and they finish in the order in which they were polled, so the committed offsets
//! are always a contiguous frontier. A passing fault stalls the consumer and is retried without
//! limit. Only records that can never be handled go to the dead letters.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use shared::{
    clock::Clock,
    session::{Fact, SessionFacts, SessionKey},
    store::{Effect, Store, StoreError},
    telemetry::Repeats,
    timestamp::SECOND,
};
use thiserror::Error;
use tokio::time::Instant;

use self::{
    in_flight::{Backlog, InFlight},
    letters::KnownLetters,
};
use crate::{
    log::{Frontier, Log, LogError, Record},
    metrics::ConsumerMetrics,
    pairing::{self, Arrival},
};

mod batch;
mod handle;
mod in_flight;
mod letters;
mod outcome;
mod retry;

/// Decides what is written: [`pairing::decide`], except in tests of what happens when it panics.
pub type Decide = fn(&SessionKey, &SessionFacts, &[Fact], Arrival) -> Vec<Effect>;

/// The limits of the consumer.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    /// The target size of a micro-batch in bytes of records.
    pub batch_bytes: usize,
    /// The number of micro-batches in flight.
    pub batches: usize,
    /// How long handled records may remain uncommitted.
    pub commit_interval: Duration,
    /// How long a shutdown waits for records in flight. The others are polled again afterwards.
    pub stop_timeout: Duration,
    /// How far an event's time may be after its append time, in milliseconds.
    pub future_tolerance_ms: i64,
}

/// Why the consumer stopped by itself. It needs a restart.
#[derive(Debug, Error)]
pub enum ConsumerError {
    /// The log has failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Polls, pairs and commits.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The log to poll.
    pub log: Log,
    /// The store to write to.
    pub store: Store,
    /// The clock that retention is measured by.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<ConsumerMetrics>,
    /// The limits.
    pub options: ConsumerOptions,
    /// The decision on what is written.
    pub decide: Decide,
    in_flight: Arc<InFlight>,
    letters: Arc<KnownLetters>,
    /// Why the store refused the request that is being retried.
    refusal: Arc<Mutex<Option<String>>>,
    /// Limits the log lines that an outage or a producer could repeat.
    repeats: Arc<Repeats>,
}

/// Micro-batches that are handled and not committed yet: the offsets after them, and their number.
#[derive(Default)]
struct Uncommitted {
    frontier: Frontier,
    batches: usize,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 1 << 20,
            batches: 3,
            commit_interval: Duration::from_millis(200),
            stop_timeout: Duration::from_secs(20),
            future_tolerance_ms: 5 * shared::timestamp::MINUTE,
        }
    }
}

impl Consumer {
    /// A consumer that decides by [`pairing::decide`].
    #[must_use]
    pub fn new(
        log: Log,
        store: Store,
        clock: Clock,
        metrics: Arc<ConsumerMetrics>,
        options: ConsumerOptions,
    ) -> Self {
        let decide = pairing::decide as Decide;
        let (in_flight, letters, refusal) = (Arc::default(), Arc::default(), Arc::default());
        let repeats = Arc::default();
        Self { log, store, clock, metrics, options, decide, in_flight, letters, refusal, repeats }
    }

    /// Consumes until `shutdown`, then finishes the records in flight within the stop timeout.
    ///
    /// # Errors
    /// [`ConsumerError`] when the log or the store has failed for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ConsumerError> {
        let shutdown = shutdown.shared();
        // A consumer without a store would take partitions away from those that have one.
        tokio::select! {
            () = self.store.opened() => {}
            () = shutdown.clone() => return Ok(()),
        }
        let overdue = async {
            shutdown.clone().await;
            tokio::time::sleep(self.options.stop_timeout).await;
        };
        // Without the timeout, a store whose disk is full would keep the process from stopping.
        tokio::select! {
            outcome = self.consume(shutdown.clone()) => outcome,
            () = overdue => {
                tracing::warn!("records in flight could not be committed before the shutdown; they are polled again after the restart");
                Ok(())
            }
        }
    }

    async fn consume(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ConsumerError> {
        self.in_flight.clear();
        let polled = stream::unfold(self.clone(), |consumer| async move {
            Some((consumer.log.poll(consumer.options.batch_bytes).await, consumer))
        });
        let handled = polled
            .take_until(shutdown)
            .map(|polled| self.clone().finish(polled))
            .buffered(self.options.batches);
        let mut handled = std::pin::pin!(handled);
        let mut uncommitted = Uncommitted::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                next = handled.next() => {
                    let Some(frontier) = next else { return self.commit(std::mem::take(&mut uncommitted)).await };
                    if uncommitted.batches == 0 {
                        due = Instant::now() + self.options.commit_interval;
                    }
                    uncommitted.frontier.advance(frontier?);
                    uncommitted.batches += 1;
                }
                () = tokio::time::sleep_until(due), if uncommitted.batches > 0 => {}
            }
            if uncommitted.batches > 0 && Instant::now() >= due {
                self.commit(std::mem::take(&mut uncommitted)).await?;
            }
        }
    }

    /// Makes the rows durable, then the offsets: everything before the frontier is written.
    async fn commit(
        &self,
        Uncommitted { frontier, batches }: Uncommitted,
    ) -> Result<(), ConsumerError> {
        if batches == 0 {
            return Ok(());
        }
        self.retry_store("persist", || async {
            match self.log.id() {
                Some(id) => self.store.persist_to(id, frontier.offsets.clone()).await,
                None => self.store.persist().await,
            }
        })
        .await?;
        self.retry_log(|| self.log.commit(frontier.clone())).await?;
        self.in_flight.end(batches);
        self.show_lag();
        Ok(())
    }

    /// Why the consumer is stalled by a request that the store refuses and that it retries. A stall
    /// by a passing fault is not reported here.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    /// Updates the metrics of the lag: after commits, and at intervals for a stalled consumer.
    pub fn show_lag(&self) {
        // The age covers the partitions of this process only.
        let (held, mut has_backlog) = (self.log.held(), false);
        self.metrics.lag(self.log.positions().into_iter().map(|(partition, position)| {
            has_backlog |= position.end > position.committed && held.contains(&partition);
            (partition, position.end - position.committed)
        }));
        self.metrics.lost.inc_by(self.log.take_removed());
        self.metrics.rebalanced(self.log.rebalances());
        let now = self.clock.now();
        let Backlog { records, oldest } =
            self.in_flight.measure(has_backlog, self.log.oldest_waiting(), now);
        self.metrics.inflight_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        let age = oldest.map_or(0, |oldest| (now - oldest).max(0));
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
        self.metrics.lag_seconds.set(age as f64 / SECOND as f64);
    }

    /// Handles polled records; returns the frontier after them.
    async fn finish(
        self,
        polled: Result<Vec<Record>, LogError>,
    ) -> Result<Frontier, ConsumerError> {
        let records = polled?;
        self.log.polled(&records);
        let oldest = records.iter().map(|record| record.append_time).min();
        self.in_flight.begin(records.len(), oldest.unwrap_or_default());
        self.show_lag();
        let frontier = Frontier::after(&records);
        self.handle_contained(records).await?;
        Ok(frontier)
    }
}
