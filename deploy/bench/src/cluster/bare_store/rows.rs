//! The rows that the service writes for a data set, grouped into requests for the bare driver.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::Path,
};

use ingest::pairing::{self, Arrival};
use scylla::{
    errors::SerializationError,
    serialize::{
        row::{RowSerializationContext, SerializeRow},
        writers::RowWriter,
    },
    value::{CqlDate, CqlTimestamp},
};
use shared::{
    session::{Fact, SessionFacts, SessionKey},
    store::Effect,
    timestamp::{DAY, Timestamp},
};

use crate::load;

/// Events per step, about as many as in a micro-batch of the consumer.
const EVENTS: usize = 80_000;
/// The most partitions and rows of a request. The server warns about batches of over 5 KiB.
const PARTITIONS: usize = 10;
const ROWS: usize = 44;
/// The time to live of rows in seconds.
const TTL: i32 = 31_000_000;

/// One row.
pub(in crate::cluster) enum Row {
    /// User, session, kind, time, country, marker, time of an earlier fact.
    Fact(String, String, i8, i64, String, i8, i64),
    /// User, end, session, start, country.
    Completed(String, i64, String, i64, String),
    /// Country, time, session, user.
    Start(String, i64, String, String),
}

/// The rows of a step, by request.
#[derive(Default)]
pub(in crate::cluster) struct Step {
    /// Facts, and the users and sessions to read back after them.
    pub(super) facts: Vec<(Vec<Row>, Vec<String>, Vec<String>)>,
    pub(super) decided: Vec<Vec<Row>>,
}

/// Computes every request before the measurement.
pub(in crate::cluster) fn steps(file: &Path) -> anyhow::Result<Vec<Step>> {
    let mut known: HashMap<SessionKey, SessionFacts> = HashMap::new();
    let mut events: Vec<_> = load::events(file)?.collect::<anyhow::Result<_>>()?;
    // By partition of the topic, in the order of the consumer: a step then has fewer users.
    events.sort_by_cached_key(|(event, _)| {
        BuildHasherDefault::<DefaultHasher>::new().hash_one(event.user().as_str()) % 6
    });
    let steps = events.chunks(EVENTS).map(|events| {
        let mut facts: BTreeMap<String, Vec<(SessionKey, Row)>> = BTreeMap::new();
        let mut users: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut partitions: BTreeMap<(String, i64), Vec<Row>> = BTreeMap::new();
        for (event, _) in events {
            let (key, fact): (SessionKey, Fact) = event.clone().into();
            let all = known.entry(key.clone()).or_default();
            all.absorb(&fact);
            let (user, session) = (key.user.to_string(), key.session.to_string());
            let (kind, ts, country) = match &fact {
                Fact::Start(start) => (0, start.ts, start.country.as_str().to_owned()),
                Fact::End(ts) => (1, *ts, String::new()),
            };
            for effect in pairing::decide(&key, all, std::slice::from_ref(&fact), Arrival::Any) {
                match effect {
                    Effect::RecordStart(row) => {
                        let (country, ts) = (row.country.as_str().to_owned(), row.ts.millis());
                        let row = Row::Start(country.clone(), ts, session.clone(), user.clone());
                        partitions.entry((country, ts.div_euclid(DAY))).or_default().push(row);
                    }
                    Effect::Complete(row) => {
                        let (start, end) = (row.started_at.millis(), row.ended_at.millis());
                        let country = row.country.as_str().to_owned();
                        let row =
                            Row::Completed(user.clone(), end, session.clone(), start, country);
                        let rows = users.entry(user.clone()).or_default();
                        rows.push(row);
                        if end - start >= DAY / 2 {
                            rows.push(Row::end_with_start(&user, &session, end, start));
                        }
                    }
                    Effect::SupersedeStart(_) | Effect::SupersedeCompleted(_) => {}
                }
            }
            let row = Row::Fact(
                user.clone(),
                session,
                kind,
                ts.millis(),
                country,
                0,
                Timestamp::default().millis(),
            );
            facts.entry(user).or_default().push((key, row));
        }
        Ok(Step::new(facts, users, partitions))
    });
    steps.collect()
}

impl Row {
    /// The end of a long session with the time of its start.
    fn end_with_start(user: &str, session: &str, end: i64, start: i64) -> Self {
        Self::Fact(user.to_owned(), session.to_owned(), 1, end, String::new(), 1, start)
    }
}

impl Step {
    /// Groups rows by user and by partition into requests.
    fn new(
        facts: BTreeMap<String, Vec<(SessionKey, Row)>>,
        users: BTreeMap<String, Vec<Row>>,
        partitions: BTreeMap<(String, i64), Vec<Row>>,
    ) -> Self {
        let mut step = Step::default();
        for request in group(facts.into_values()) {
            let (keys, rows): (Vec<SessionKey>, Vec<Row>) = request.into_iter().unzip();
            let mut users: Vec<_> = keys.iter().map(|key| key.user.to_string()).collect();
            users.dedup();
            step.facts.push((
                rows,
                users,
                keys.iter().map(|key| key.session.to_string()).collect(),
            ));
        }
        step.decided = group(users.into_values());
        step.decided.extend(group(partitions.into_values()));
        step
    }
}

/// Combines the rows of several partitions into requests.
fn group<T>(partitions: impl Iterator<Item = Vec<T>>) -> Vec<Vec<T>> {
    let mut requests: Vec<Vec<T>> = Vec::new();
    let mut shared = 0;
    for rows in partitions {
        shared += 1;
        match requests.last_mut() {
            Some(last) if shared <= PARTITIONS && last.len() + rows.len() <= ROWS => {
                last.extend(rows)
            }
            _ => {
                shared = 1;
                requests.push(rows);
            }
        }
    }
    requests
}

impl SerializeRow for Row {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let time = |millis: &i64| CqlTimestamp(*millis);
        match self {
            Self::Fact(user, session, kind, ts, country, marker, earlier) => {
                (user, session, kind, time(ts), country, marker, time(earlier), ts * 1_000, TTL)
                    .serialize(context, writer)
            }
            Self::Completed(user, end, session, start, country) => {
                (user, time(end), session, time(start), country, TTL).serialize(context, writer)
            }
            Self::Start(country, ts, session, user) => {
                // Day 0 is 2^31.
                let day = u32::try_from((1_i64 << 31) + ts.div_euclid(DAY)).unwrap_or_default();
                (country, CqlDate(day), time(ts), session, user, TTL).serialize(context, writer)
            }
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}
