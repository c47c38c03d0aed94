//! A micro-batch: polled records parsed as events and grouped by session.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use shared::{
    event::RejectionCode,
    session::{Fact, MAX_FACTS, SessionKey},
    store::Sighting,
};

use crate::{
    log::{DeadLetter, DeadLetterCode, Record},
    metrics::Handled,
};

/// The facts of a micro-batch.
#[derive(Debug, Default)]
pub(super) struct MicroBatch {
    /// The facts by session: each once, unless the session has more than it may have.
    pub(super) sightings: Vec<Sighting>,
    /// For each sighting and each of its facts, the index of its record.
    pub(super) sources: Vec<Vec<usize>>,
    /// The records that are not valid events.
    pub(super) letters: Vec<DeadLetter>,
    /// The outcomes of the records that the store need not see.
    pub(super) counts: BTreeMap<Handled, u64>,
    /// The number of records whose JSON follows the five bytes of a schema registry.
    pub(super) schema_ids: u64,
    /// The number of comparisons between facts.
    #[cfg(test)]
    comparisons: usize,
}

/// The facts of each session, and the indexes of their records.
type Sessions = IndexMap<SessionKey, (Vec<Fact>, Vec<usize>)>;

impl MicroBatch {
    /// Parses `records`, and judges the event of each.
    pub(super) fn read(records: &[Record], future_tolerance_ms: i64) -> Self {
        let mut batch = Self::default();
        let mut sessions = Sessions::with_capacity(records.len());
        for (source, record) in records.iter().enumerate() {
            let Some(value) = &record.value else {
                *batch.counts.entry(Handled::Skipped).or_default() += 1;
                continue;
            };
            batch.schema_ids += u64::from(record.has_schema_id());
            let event = record.parse(value).map_err(|rejection| rejection.code);
            match event.and_then(|event| record.judge(&event, future_tolerance_ms).map(|()| event))
            {
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
        // Further facts are contested, and the store detects repetitions too. Comparing all of them
        // would take seconds if one session filled the micro-batch.
        let compared = &facts[..facts.len().min(MAX_FACTS)];
        #[cfg(test)]
        {
            self.comparisons += compared.len();
        }
        if compared.contains(&fact) {
            *self.counts.entry(Handled::Duplicate).or_default() += 1;
        } else {
            facts.push(fact);
            sources.push(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::timestamp::{SECOND, Timestamp};

    use super::*;

    fn end(session: usize, ts: Timestamp) -> Record {
        let event =
            json!({ "user_id": "u", "session_id": session.to_string(), "event": "end", "ts": ts });
        let value = Some(event.to_string().into());
        Record { value, append_time: ts, ..Record::default() }
    }

    /// Fails if every fact is compared with all earlier ones of its session.
    #[test]
    fn a_session_with_too_many_facts_is_read_with_a_bounded_number_of_comparisons() {
        const RECORDS: usize = 3_000;
        let at = |number| Timestamp::from_millis(i64::try_from(number).unwrap() * SECOND).unwrap();
        let comparisons = |session: fn(usize) -> usize| {
            let records: Vec<_> =
                (0..RECORDS).map(|number| end(session(number), at(number))).collect();
            let batch = MicroBatch::read(&records, 0);
            let facts = batch.sightings.iter().map(|sighting| sighting.facts.len());
            assert_eq!(facts.sum::<usize>(), RECORDS);
            batch.comparisons
        };
        assert_eq!(comparisons(|number| number), 0);
        let of_one_session = comparisons(|_| 0);
        assert!((1..=RECORDS * MAX_FACTS).contains(&of_one_session), "{of_one_session}");
    }

    #[test]
    fn the_five_bytes_of_a_schema_registry_are_skipped_and_counted() {
        let plain = end(1, Timestamp::default());
        let prefixed = |prefix: &[u8], value: &[u8]| Record {
            value: Some([prefix, value].concat().into()),
            ..plain.clone()
        };
        let json = plain.value.clone().unwrap();
        let records = [
            prefixed(b"\0\0\0\x01\x02", &json),
            prefixed(b"\0\0\0\0{", b" \n{}"),
            // Avro, another magic byte, four bytes only.
            prefixed(b"\0\0\0\0\x07", b"\x04u1\x04s1"),
            prefixed(b"\x01\0\0\0\x07", &json),
            prefixed(b"\0\0\0\0", &json),
        ];
        let batch = MicroBatch::read(&records, 0);
        let codes: Vec<_> = batch.letters.iter().map(|letter| letter.code.as_str()).collect();
        let others = ["missing_user_id", "not_an_object", "not_an_object", "not_an_object"];
        assert_eq!(codes, others);
        assert_eq!((batch.sightings.len(), batch.schema_ids), (1, 2));
        assert_eq!(batch.letters[0].record.value, records[1].value);
    }

    #[test]
    fn what_an_endpoint_of_an_earlier_version_accepted_is_kept_as_it_is() {
        let event = |user: &str, country: &str| {
            let json = json!({
                "user_id": user, "session_id": "NaN", "event": "start", "ts": 0, "country": country,
            });
            Record { value: Some(json.to_string().into()), ..Record::default() }
        };
        let accepted = |record: Record| Record { latest_ts: Some(Timestamp::MAX), ..record };
        // Letters that are one syllable in NFC; earlier versions did not compose them.
        let letters = "\u{1112}\u{1161}\u{11ab}";
        let records = [accepted(event("None", letters)), event("None", letters)];
        let batch = MicroBatch::read(&records, 0);
        let [sighting] = &batch.sightings[..] else { panic!("{batch:?}") };
        let Fact::Start(start) = &sighting.facts[0] else { panic!("{sighting:?}") };
        assert_eq!((sighting.key.user.as_str(), start.country.as_str()), ("None", letters));
        let codes: Vec<_> = batch.letters.iter().map(|letter| letter.code.as_str()).collect();
        assert_eq!(codes, ["invalid_user_id"]);
    }

    #[test]
    fn a_record_without_a_value_is_skipped_and_counted() {
        let record = Record { key: Some("u".into()), ..Record::default() };
        let batch = MicroBatch::read(&[record], 0);
        assert_eq!(batch.counts, [(Handled::Skipped, 1)].into());
        assert!(batch.letters.is_empty() && batch.sightings.is_empty());
    }
}
