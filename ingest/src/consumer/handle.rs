//! Handling a micro-batch: write the facts, read them back, decide, write the rows.

use std::{mem, sync::Arc};

use shared::store::Effect;
use tokio::task::JoinSet;

use super::{
    Consumer, ConsumerError,
    batch::MicroBatch,
    outcome::{became_complete, outcome_of},
};
use crate::{
    log::{DeadLetter, DeadLetterCode, Record},
    metrics::Handled,
    pairing::Arrival,
};

/// The number of rows after which they are written before more are decided. An ordinary micro-batch
/// has one or two per record, but a fact of a session that has many facts can need a thousand.
const EFFECTS: usize = 100_000;

impl Consumer {
    /// Handles records on a task of their own, so that micro-batches overlap. After a panic they
    /// are handled one by one, and a record that panics again becomes a dead letter.
    pub(super) async fn handle_contained(&self, records: Vec<Record>) -> Result<(), ConsumerError> {
        let records = Arc::new(records);
        if let Some(outcome) = self.unless_panicked(Arc::clone(&records)).await {
            return outcome;
        }
        if let Some(suppressed) = self.repeats.due("a batch panicked") {
            tracing::error!(
                records = records.len(),
                suppressed,
                "handling a micro-batch panicked; its records are handled one by one"
            );
        }
        for record in records.iter() {
            if let Some(outcome) = self.unless_panicked(Arc::new(vec![record.clone()])).await {
                outcome?;
                continue;
            }
            let (partition, offset) = (record.partition, record.offset);
            if let Some(suppressed) = self.repeats.due("a record panicked") {
                tracing::error!(
                    partition,
                    offset,
                    suppressed,
                    "handling a record panicked; it goes to the dead letters"
                );
            }
            self.dead_letter(vec![DeadLetter {
                code: DeadLetterCode::Panicked,
                record: record.clone(),
            }])
            .await?;
        }
        Ok(())
    }

    /// Handles `records`; returns `None` if that panicked.
    async fn unless_panicked(
        &self,
        records: Arc<Vec<Record>>,
    ) -> Option<Result<(), ConsumerError>> {
        // The set aborts its task on drop: a dropped consumer handles nothing more.
        let mut task = JoinSet::new();
        task.spawn(self.clone().handle(records));
        match task.join_next().await {
            Some(Ok(outcome)) => Some(outcome),
            Some(Err(lost)) if lost.is_panic() => None,
            // The runtime is shutting down, which says nothing about the records.
            _ => std::future::pending().await,
        }
    }

    async fn handle(self, records: Arc<Vec<Record>>) -> Result<(), ConsumerError> {
        let MicroBatch { sightings, sources, mut letters, mut counts, schema_ids, .. } =
            MicroBatch::read(&records, self.options.future_tolerance_ms);
        let sightings = Arc::new(sightings);
        let absorb = || self.store.absorb(Arc::clone(&sightings), self.clock.now());
        let known = self.retry_store("absorb", absorb).await?;
        let mut effects = Vec::with_capacity((2 * known.len()).min(EFFECTS));
        // Handled facts are freed at once: they are most of a large micro-batch's memory.
        for ((sighting, known), sources) in sightings.iter().zip(known).zip(sources) {
            let arrival = Arrival::of(&known.absorbed, self.store.is_exclusive());
            effects.extend((self.decide)(&sighting.key, &known.facts, &sighting.facts, arrival));
            for ((fact, absorbed), source) in
                sighting.facts.iter().zip(&known.absorbed).zip(sources)
            {
                let outcome = outcome_of(&known.facts, fact, *absorbed);
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
            if effects.len() >= EFFECTS {
                self.apply(mem::take(&mut effects)).await?;
            }
        }
        drop(sightings);
        self.apply(effects).await?;
        self.dead_letter(letters).await?;
        for (outcome, records) in counts {
            self.metrics.count(outcome, records);
        }
        self.metrics.schema_ids.inc_by(schema_ids);
        Ok(())
    }

    async fn apply(&self, effects: Vec<Effect>) -> Result<(), ConsumerError> {
        let effects = Arc::new(effects);
        // Each try reads the clock, because a row's time to live depends on it.
        let apply = || self.store.apply(Arc::clone(&effects), self.clock.now());
        self.retry_store("apply", apply).await
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), ConsumerError> {
        if letters.is_empty() {
            return Ok(());
        }
        let repeated = self.letters.repeated(&self.log, &letters).await;
        self.retry_log(|| self.log.dead_letter(letters.clone())).await?;
        for (letter, is_repeated) in letters.iter().zip(repeated) {
            self.metrics.dead_lettered(letter.code, 1);
            self.metrics.repeated(letter.code, is_repeated.into());
            self.metrics.count(Handled::DeadLettered, 1);
        }
        Ok(())
    }
}
