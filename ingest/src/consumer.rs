//! The consumer: polls the log, pairs what it finds, and commits only what is answered.
//!
//! Polled records make micro-batches. Each goes through write → read back → decide → write; several are under way at once,
//! and they are finished in the order in which they were polled, so what is committed is always a contiguous frontier. A
//! passing fault stalls it and is tried again for ever; only what can never be an event goes to the dead letters.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use shared::{
    clock::Clock,
    session::{Absorbed, Fact, SessionFacts, SessionKey},
    store::{Effect, Known, Sighting, Store, StoreError},
    timestamp::{SECOND, Timestamp},
};
use thiserror::Error;
use tokio::time::Instant;

use self::batch::MicroBatch;
use crate::{
    log::{DeadLetter, DeadLetterCode, Log, LogError, Offsets, Record},
    metrics::{ConsumerMetrics, Handled},
};

mod batch;
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

/// A micro-batch that is answered: the offsets behind it.
struct Done {
    offsets: Offsets,
    records: usize,
    oldest: Timestamp,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 1 << 20,
            batches: 3,
            commit_interval: Duration::from_millis(200),
            future_tolerance_ms: 5 * shared::timestamp::MINUTE,
        }
    }
}

impl Consumer {
    /// Consumes until `shutdown`, then finishes and commits what was polled.
    ///
    /// # Errors
    /// [`ConsumerError`] when the log or the store has failed for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ConsumerError> {
        let polled = stream::unfold(self.clone(), |consumer| async move {
            Some((consumer.log.poll(consumer.options.batch_bytes).await, consumer))
        });
        let handled = polled
            .take_until(shutdown)
            .map(|polled| self.clone().finish(polled))
            .buffered(self.options.batches);
        let mut handled = std::pin::pin!(handled);
        let mut frontier = Offsets::new();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                next = handled.next() => {
                    let Some(done) = next else { return self.commit(frontier).await };
                    let done = done?;
                    if frontier.is_empty() {
                        due = Instant::now() + self.options.commit_interval;
                    }
                    frontier.extend(done.offsets);
                    self.metrics.inflight_records.sub(i64::try_from(done.records).unwrap_or(i64::MAX));
                    self.show_age(done.oldest);
                }
                () = tokio::time::sleep_until(due), if !frontier.is_empty() => {}
            }
            if Instant::now() >= due {
                self.commit(std::mem::take(&mut frontier)).await?;
            }
        }
    }

    /// Everything before `frontier` is answered; once it is durable, so is the frontier.
    async fn commit(&self, frontier: Offsets) -> Result<(), ConsumerError> {
        if frontier.is_empty() {
            return Ok(());
        }
        self.retry_store("persist", || self.store.persist()).await?;
        self.retry_log(|| self.log.commit(frontier.clone())).await?;
        self.show_lag();
        Ok(())
    }

    /// Shows how far behind the consumer is.
    pub fn show_lag(&self) {
        let mut behind = 0;
        for (partition, position) in self.log.positions() {
            behind += position.end - position.committed;
            self.metrics.lag(partition, position.end - position.committed);
        }
        if behind == 0 {
            self.metrics.lag_seconds.set(0.0);
        }
    }

    fn show_age(&self, oldest: Timestamp) {
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
        self.metrics.lag_seconds.set((self.clock.now() - oldest) as f64 / SECOND as f64);
    }

    /// Handles what was polled; answers where that ends.
    async fn finish(self, polled: Result<Vec<Record>, LogError>) -> Result<Done, ConsumerError> {
        let records = polled?;
        let done = Done {
            offsets: records.iter().map(|record| (record.partition, record.offset + 1)).collect(),
            records: records.len(),
            oldest: records.iter().map(|record| record.append_time).min().unwrap_or_default(),
        };
        self.metrics.inflight_records.add(i64::try_from(done.records).unwrap_or(i64::MAX));
        self.handle_contained(records).await?;
        Ok(done)
    }

    /// Handles records on a task of their own, so that micro-batches overlap and a panic is contained: then they are handled
    /// one by one, and the one that panics again becomes a dead letter.
    async fn handle_contained(&self, records: Vec<Record>) -> Result<(), ConsumerError> {
        if let Ok(outcome) = tokio::spawn(self.clone().handle(records.clone())).await {
            return outcome;
        }
        tracing::error!(records = records.len(), "handling records panicked; they are handled one by one");
        for record in records {
            if let Ok(outcome) = tokio::spawn(self.clone().handle(vec![record.clone()])).await {
                outcome?;
                continue;
            }
            let (partition, offset) = (record.partition, record.offset);
            tracing::error!(partition, offset, "handling one record panicked; it goes to the dead letters");
            self.dead_letter(vec![DeadLetter { code: DeadLetterCode::Panicked, record }]).await?;
        }
        Ok(())
    }

    async fn handle(self, records: Vec<Record>) -> Result<(), ConsumerError> {
        let MicroBatch { sightings, sources, mut letters, mut counts } =
            MicroBatch::read(&records, self.options.future_tolerance_ms);
        let sightings: Arc<[_]> = sightings.into();
        let known = self.retry_store("absorb", || self.store.absorb(Arc::clone(&sightings))).await?;
        let mut effects = Vec::with_capacity(2 * known.len());
        for ((sighting, known), sources) in sightings.iter().zip(&known).zip(&sources) {
            effects.extend((self.decide)(&sighting.key, &known.facts, &sighting.facts));
            for ((fact, absorbed), source) in sighting.facts.iter().zip(&known.absorbed).zip(sources) {
                let outcome = outcome(&known.facts, fact, *absorbed);
                if outcome == Handled::DeadLettered {
                    letters.push(DeadLetter {
                        code: DeadLetterCode::Contested,
                        record: records[*source].clone(),
                    });
                } else {
                    *counts.entry(outcome).or_default() += 1;
                }
            }
            if became_complete(sighting, known) {
                self.metrics.completed.inc();
            }
        }
        let effects: Arc<[_]> = effects.into();
        let now = self.clock.now();
        self.retry_store("apply", || self.store.apply(Arc::clone(&effects), now)).await?;
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

/// What became of one fact, now that all of its session's are known.
fn outcome(facts: &SessionFacts, fact: &Fact, absorbed: Absorbed) -> Handled {
    match absorbed {
        Absorbed::Known => return Handled::Duplicate,
        Absorbed::Contested => return Handled::DeadLettered,
        Absorbed::New => {}
    }
    if facts.departed().start {
        return Handled::Expired;
    }
    match (fact, facts.start(), facts.end()) {
        (Fact::Start(fact), Some(start), end) if fact == start => {
            if end.is_some() {
                Handled::Paired
            } else {
                Handled::Open
            }
        }
        (Fact::End(fact), Some(_), Some(end)) if *fact == end => Handled::Paired,
        (Fact::End(fact), None, _) if facts.ends().first() == Some(fact) => Handled::Orphan,
        _ => Handled::Superseded,
    }
}

/// Whether a session is complete that was not before the new facts of this sighting.
fn became_complete(sighting: &Sighting, known: &Known) -> bool {
    if known.facts.end().is_none() {
        return false;
    }
    let new = |fact: &Fact| {
        sighting.facts.iter().zip(&known.absorbed).any(|(one, state)| one == fact && *state == Absorbed::New)
    };
    let earlier_starts =
        known.facts.starts().iter().filter(|start| !new(&Fact::Start((*start).clone()))).cloned();
    let earlier_ends = known.facts.ends().iter().filter(|end| !new(&Fact::End(**end))).copied();
    SessionFacts::new(earlier_starts.collect(), earlier_ends.collect(), known.facts.departed())
        .end()
        .is_none()
}
