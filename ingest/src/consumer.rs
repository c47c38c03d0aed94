//! The consumer: polls the log, pairs what it finds, and commits only what is answered.
//!
//! Polled records make micro-batches. Each goes through write → read back → decide → write; several are under way at once,
//! and they are finished in the order in which they were polled, so what is committed is always a contiguous frontier. A
//! passing fault stalls it and is tried again for ever; only what can never be an event goes to the dead letters.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use shared::{
    clock::Clock,
    session::{Fact, SessionFacts, SessionKey},
    store::{Effect, Store, StoreError},
    timestamp::SECOND,
};
use thiserror::Error;
use tokio::{task::JoinSet, time::Instant};

use self::{
    batch::MicroBatch,
    outcome::{became_complete, outcome},
};
use crate::{
    log::{DeadLetter, DeadLetterCode, Log, LogError, Offsets, Record},
    metrics::{ConsumerMetrics, Handled},
};

mod batch;
mod outcome;
mod retry;

/// Decides what is written: [`crate::pairing::decide`], except in tests of what happens when that panics.
pub type Decide = fn(&SessionKey, &SessionFacts, &[Fact]) -> Vec<Effect>;

/// What bounds the consumer's memory, and how far ahead an event may be.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    /// About how many bytes of records make a micro-batch.
    pub batch_bytes: usize,
    /// How many micro-batches are under way at once.
    pub batches: usize,
    /// How long handled records may stay uncommitted.
    pub commit_interval: Duration,
    /// How long what was polled may take once the consumer was told to stop; what is left is polled again after a restart.
    pub stop_timeout: Duration,
    /// How much later than its append an event may be, in milliseconds.
    pub future_tolerance_ms: i64,
}

/// Why the consumer stopped by itself. Only a restart helps.
#[derive(Debug, Error)]
pub enum ConsumerError {
    /// The log cannot be trusted any more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store cannot be trusted any more.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Polls, pairs and commits.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Where records come from.
    pub log: Log,
    /// Where sessions go.
    pub store: Store,
    /// The time of day, for retention.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<ConsumerMetrics>,
    /// Limits.
    pub options: ConsumerOptions,
    /// What is written.
    pub decide: Decide,
}

/// Micro-batches that are answered and not committed yet: the offsets behind them, and how many they are.
#[derive(Default)]
struct Answered {
    frontier: Offsets,
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
    /// Consumes until `shutdown`, then finishes and commits what was polled, as far as that succeeds in time.
    ///
    /// # Errors
    /// [`ConsumerError`] when the log or the store has failed for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ConsumerError> {
        let shutdown = shutdown.shared();
        let overdue = async {
            shutdown.clone().await;
            tokio::time::sleep(self.options.stop_timeout).await;
        };
        // Otherwise a store that has no room left would keep the process from ending.
        tokio::select! {
            outcome = self.consume(shutdown.clone()) => outcome,
            () = overdue => {
                tracing::warn!("what was polled could not be finished in time and is left for the next start");
                Ok(())
            }
        }
    }

    async fn consume(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ConsumerError> {
        self.metrics.under_way.forget();
        let polled = stream::unfold(self.clone(), |consumer| async move {
            Some((consumer.log.poll(consumer.options.batch_bytes).await, consumer))
        });
        let handled = polled
            .take_until(shutdown)
            .map(|polled| self.clone().finish(polled))
            .buffered(self.options.batches);
        let mut handled = std::pin::pin!(handled);
        let mut answered = Answered::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                next = handled.next() => {
                    let Some(offsets) = next else { return self.commit(std::mem::take(&mut answered)).await };
                    if answered.batches == 0 {
                        due = Instant::now() + self.options.commit_interval;
                    }
                    answered.frontier.extend(offsets?);
                    answered.batches += 1;
                }
                () = tokio::time::sleep_until(due), if answered.batches > 0 => {}
            }
            if answered.batches > 0 && Instant::now() >= due {
                self.commit(std::mem::take(&mut answered)).await?;
            }
        }
    }

    /// Everything before the frontier is answered; once it is durable, so is the frontier.
    async fn commit(&self, Answered { frontier, batches }: Answered) -> Result<(), ConsumerError> {
        if batches == 0 {
            return Ok(());
        }
        self.retry_store("persist", || self.store.persist()).await?;
        self.retry_log(|| self.log.commit(frontier.clone())).await?;
        self.metrics.under_way.end(batches);
        self.show_lag();
        Ok(())
    }

    /// Shows how far behind the consumer is. A stalled one shows it only when this is called now and then.
    pub fn show_lag(&self) {
        // What others poll is their business.
        let (held, mut left) = (self.log.held(), false);
        for (partition, position) in self.log.positions() {
            left |= position.end > position.committed && held.contains(&partition);
            self.metrics.lag(partition, position.end - position.committed);
        }
        self.metrics.rebalanced(self.log.rebalances());
        let now = self.clock.now();
        let (records, oldest) = self.metrics.under_way.look(left, self.log.oldest_waiting(), now);
        self.metrics.inflight_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        let age = oldest.map_or(0, |oldest| (now - oldest).max(0));
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
        self.metrics.lag_seconds.set(age as f64 / SECOND as f64);
    }

    /// Handles what was polled; answers where that ends.
    async fn finish(self, polled: Result<Vec<Record>, LogError>) -> Result<Offsets, ConsumerError> {
        let records = polled?;
        let oldest = records.iter().map(|record| record.append_time).min();
        self.metrics.under_way.begin(records.len(), oldest.unwrap_or_default());
        self.show_lag();
        let offsets = records.iter().map(|record| (record.partition, record.offset + 1)).collect();
        self.handle_contained(records).await?;
        Ok(offsets)
    }

    /// Handles records on a task of their own, so that micro-batches overlap and a panic is contained: then they are handled
    /// one by one, and the one that panics again becomes a dead letter.
    async fn handle_contained(&self, records: Vec<Record>) -> Result<(), ConsumerError> {
        let records = Arc::new(records);
        if let Some(outcome) = self.unless_panicked(Arc::clone(&records)).await {
            return outcome;
        }
        tracing::error!(
            records = records.len(),
            "handling records panicked; they are handled one by one"
        );
        for record in records.iter() {
            if let Some(outcome) = self.unless_panicked(Arc::new(vec![record.clone()])).await {
                outcome?;
                continue;
            }
            let (partition, offset) = (record.partition, record.offset);
            tracing::error!(
                partition,
                offset,
                "handling one record panicked; it goes to the dead letters"
            );
            self.dead_letter(vec![DeadLetter {
                code: DeadLetterCode::Panicked,
                record: record.clone(),
            }])
            .await?;
        }
        Ok(())
    }

    /// `None` when handling `records` panicked.
    async fn unless_panicked(
        &self,
        records: Arc<Vec<Record>>,
    ) -> Option<Result<(), ConsumerError>> {
        // The set ends its task when it is dropped: a consumer that is gone handles nothing more.
        let mut task = JoinSet::new();
        task.spawn(self.clone().handle(records));
        match task.join_next().await {
            Some(Ok(outcome)) => Some(outcome),
            Some(Err(lost)) if lost.is_panic() => None,
            // The runtime ends: what it took away is no defect of the records.
            _ => std::future::pending().await,
        }
    }

    async fn handle(self, records: Arc<Vec<Record>>) -> Result<(), ConsumerError> {
        let MicroBatch { sightings, sources, mut letters, mut counts } =
            MicroBatch::read(&records, self.options.future_tolerance_ms);
        let sightings = Arc::new(sightings);
        let absorb = || self.store.absorb(Arc::clone(&sightings), self.clock.now());
        let known = self.retry_store("absorb", absorb).await?;
        let mut effects = Vec::with_capacity(2 * known.len());
        // What is handled is let go at once: it would be the most of what a large micro-batch takes.
        for ((sighting, known), sources) in sightings.iter().zip(known).zip(sources) {
            effects.extend((self.decide)(&sighting.key, &known.facts, &sighting.facts));
            for ((fact, absorbed), source) in
                sighting.facts.iter().zip(&known.absorbed).zip(sources)
            {
                let outcome = outcome(&known.facts, fact, *absorbed);
                if outcome == Handled::DeadLettered {
                    letters.push(DeadLetter {
                        code: DeadLetterCode::Contested,
                        record: records[source].clone(),
                    });
                } else {
                    *counts.entry(outcome).or_default() += 1;
                }
            }
            if became_complete(sighting, &known) {
                self.metrics.completed.inc();
            }
        }
        drop(sightings);
        let effects = Arc::new(effects);
        // The time is looked up for each try: how long a row has still to live depends on it.
        let apply = || self.store.apply(Arc::clone(&effects), self.clock.now());
        self.retry_store("apply", apply).await?;
        self.dead_letter(letters).await?;
        for (outcome, records) in counts {
            self.metrics.count(outcome, records);
        }
        Ok(())
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), ConsumerError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.retry_log(|| self.log.dead_letter(letters.clone())).await?;
        for letter in &letters {
            self.metrics.dead_lettered(letter.code, 1);
            self.metrics.count(Handled::DeadLettered, 1);
        }
        Ok(())
    }
}
