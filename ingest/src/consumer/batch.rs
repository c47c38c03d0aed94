//! A micro-batch: polled records read as events and grouped by session, so that a session is handled once.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use shared::{
    event::{RejectionCode, SessionEvent},
    session::{Fact, MAX_FACTS, SessionKey},
    store::Sighting,
};

use crate::{
    log::{DeadLetter, DeadLetterCode, Record},
    metrics::Handled,
};

/// What a group of records says.
#[derive(Debug, Default)]
pub(super) struct MicroBatch {
    /// The facts, by session: each once, unless there are more than a session may have.
    pub(super) sightings: Vec<Sighting>,
    /// For each sighting and each of its facts, the index of the record that said it.
    pub(super) sources: Vec<Vec<usize>>,
    /// The records that are no events.
    pub(super) letters: Vec<DeadLetter>,
    /// What became of the records that need no store.
    pub(super) counts: BTreeMap<Handled, u64>,
}

/// What a micro-batch says of each session, and where.
type Sessions = IndexMap<SessionKey, (Vec<Fact>, Vec<usize>)>;

impl MicroBatch {
    /// Reads `records`, judging each event by its append time.
    pub(super) fn read(records: &[Record], future_tolerance_ms: i64) -> Self {
        let mut batch = Self::default();
        let mut sessions = Sessions::with_capacity(records.len());
        for (source, record) in records.iter().enumerate() {
            let Some(value) = &record.value else {
                *batch.counts.entry(Handled::Skipped).or_default() += 1;
                continue;
            };
            let event = SessionEvent::parse(value).map_err(|rejection| rejection.code);
            match event.and_then(|event| {
                event.judge(record.append_time, future_tolerance_ms).map(|()| event)
            }) {
                Ok(event) => batch.add(&mut sessions, event.into(), source),
                Err(RejectionCode::Expired) => {
                    *batch.counts.entry(Handled::Expired).or_default() += 1
                }
                Err(code) => {
                    let code = DeadLetterCode::Rejected(code);
                    batch.letters.push(DeadLetter { code, record: record.clone() });
                }
            }
        }
        let sessions =
            sessions.into_iter().map(|(key, (facts, sources))| (Sighting { key, facts }, sources));
        (batch.sightings, batch.sources) = sessions.unzip();
        batch
    }

    fn add(&mut self, sessions: &mut Sessions, (key, fact): (SessionKey, Fact), source: usize) {
        let (facts, sources) = sessions.entry(key).or_default();
        // Those behind are contested, and the store knows repetitions too: looking through all of them would take seconds where
        // somebody fills a micro-batch with one session.
        if facts.iter().take(MAX_FACTS).any(|one| *one == fact) {
            *self.counts.entry(Handled::Duplicate).or_default() += 1;
        } else {
            facts.push(fact);
            sources.push(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;
    use shared::timestamp::{SECOND, Timestamp};

    use super::*;

    fn end(session: usize, ts: Timestamp) -> Record {
        let event =
            json!({ "user_id": "u", "session_id": session.to_string(), "event": "end", "ts": ts });
        let value = Some(event.to_string().into());
        Record { partition: 0, offset: 0, key: None, value, headers: Vec::new(), append_time: ts }
    }

    #[test]
    fn a_session_with_too_many_facts_is_read_as_fast_as_many_sessions() {
        const RECORDS: usize = 30_000;
        let time = |session: fn(usize) -> usize| {
            let at =
                |number| Timestamp::from_millis(i64::try_from(number).unwrap() * SECOND).unwrap();
            let records: Vec<_> =
                (0..RECORDS).map(|number| end(session(number), at(number))).collect();
            let read = |_| {
                let begun = Instant::now();
                let batch = MicroBatch::read(&records, 0);
                let took = begun.elapsed();
                assert_eq!(
                    batch.sightings.iter().map(|sighting| sighting.facts.len()).sum::<usize>(),
                    RECORDS
                );
                took
            };
            // The machine may stand still in one of them.
            (0..3).map(read).min().unwrap()
        };
        let (many, one) = (time(|number| number), time(|_| 0));
        assert!(one < 8 * many, "{one:?} for one session, {many:?} for as many as facts");
    }

    #[test]
    fn a_record_without_a_value_is_skipped_and_counted() {
        let (key, headers, append_time) = (Some("u".into()), Vec::new(), Timestamp::default());
        let record = Record { partition: 0, offset: 0, key, value: None, headers, append_time };
        let batch = MicroBatch::read(&[record], 0);
        assert_eq!(batch.counts, [(Handled::Skipped, 1)].into());
        assert!(batch.letters.is_empty() && batch.sightings.is_empty());
    }
}
