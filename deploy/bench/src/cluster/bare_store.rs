//! The bare driver of Cassandra: the same rows and reads that the service makes of the same events, worked out before the clock
//! runs, sent by the loop that was found to be the fastest.
//!
//! As many events as a micro-batch of the consumer has go together: their facts in batches over ten users, each read back once
//! it is acknowledged, then the rows of the decisions in batches over ten partitions.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use ingest::pairing;
use scylla::{
    client::{PoolSize, session::Session, session_builder::SessionBuilder},
    errors::SerializationError,
    serialize::{
        row::{RowSerializationContext, SerializeRow},
        writers::RowWriter,
    },
    statement::{
        Consistency,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::{CqlDate, CqlTimestamp},
};
use shared::{
    event::SessionEvent,
    session::{Fact, SessionFacts, SessionKey},
    store::Effect,
    timestamp::{DAY, Timestamp},
};
use tokio::sync::Semaphore;

/// How many events go together: about what a micro-batch of the consumer has.
const EVENTS: usize = 20_000;
/// How many such steps overlap.
const STEPS: usize = 3;
/// How many requests are under way at once.
const REQUESTS: usize = 256;
/// How many partitions share a request.
const PARTITIONS: usize = 10;
/// How often a request is tried.
const TRIES: usize = 5;
/// How long rows live, in seconds.
const TTL: i32 = 31_000_000;

const FACT: &str = "INSERT INTO facts (user_id, session_id, kind, ts, country, marker, earlier, seen) \
    VALUES (?, ?, ?, ?, ?, ?, ?, 0) USING TIMESTAMP ? AND TTL ?";
const READ: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, WRITETIME(seen) FROM facts \
    WHERE user_id IN ? AND session_id IN ?";
const COMPLETED: &str = "INSERT INTO completed_by_user (user_id, ended_at, session_id, started_at, country, marker) \
    VALUES (?, ?, ?, ?, ?, 0) USING TTL ?";
const START: &str = "INSERT INTO starts_by_country (country, day, shards, shard, ts, session_id, user_id, marker) \
    VALUES (?, ?, 1, 0, ?, ?, ?, 0) USING TTL ?";
const LAST: &str = "SELECT ended_at, session_id, started_at, country, marker FROM completed_by_user WHERE user_id = ? LIMIT 21";

/// One row.
enum Row {
    /// User, session, kind, time, country, marker, the time of what is earlier.
    Fact(String, String, i8, i64, String, i8, i64),
    /// User, end, session, start, country.
    Completed(String, i64, String, i64, String),
    /// Country, time, session, user.
    Start(String, i64, String, String),
}

/// The rows of a step, in the requests in which they go.
#[derive(Default)]
struct Step {
    /// Facts, and the users and sessions that are read back behind them.
    facts: Vec<(Vec<Row>, Vec<String>, Vec<String>)>,
    decided: Vec<Vec<Row>>,
}

struct Bare {
    session: Session,
    fact: PreparedStatement,
    read: PreparedStatement,
    completed: PreparedStatement,
    start: PreparedStatement,
    permits: Semaphore,
}

/// Reads a user's newest rows.
#[derive(Clone)]
pub(super) struct Reader(Arc<(Session, PreparedStatement)>);

/// Events a second in the second of the keyspaces; into the first goes the same before, uncounted, to make the server warm: its
/// compiler works for minutes, and whoever is measured first would pay for all of them.
pub(super) async fn measure(nodes: &str, [warm, keyspace]: [&str; 2], file: &Path) -> anyhow::Result<f64> {
    let steps = steps(file)?;
    run(nodes, warm, &steps).await?;
    run(nodes, keyspace, &steps).await
}

async fn run(nodes: &str, keyspace: &str, steps: &[Step]) -> anyhow::Result<f64> {
    let events: usize = steps.iter().flat_map(|step| &step.facts).map(|(rows, ..)| rows.len()).sum();
    let session = connect(nodes, keyspace).await?;
    let bare = Bare {
        fact: session.prepare(FACT).await?,
        read: session.prepare(READ).await?,
        completed: session.prepare(COMPLETED).await?,
        start: session.prepare(START).await?,
        session,
        permits: Semaphore::new(REQUESTS),
    };
    let begun = Instant::now();
    stream::iter(steps).map(|step| bare.step(step)).buffered(STEPS).try_collect::<Vec<()>>().await?;
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

async fn connect(nodes: &str, keyspace: &str) -> anyhow::Result<Session> {
    let one = std::num::NonZeroUsize::MIN;
    let profile = scylla::client::execution_profile::ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .build();
    let builder = SessionBuilder::new().known_nodes(nodes.split(',')).pool_size(PoolSize::PerHost(one));
    Ok(builder
        .default_execution_profile_handle(profile.into_handle())
        .use_keyspace(keyspace, false)
        .build()
        .await?)
}

impl Bare {
    async fn step(&self, step: &Step) -> anyhow::Result<()> {
        try_join_all(step.facts.iter().map(|(rows, users, sessions)| async move {
            self.insert(rows).await?;
            let _permit = self.permits.acquire().await?;
            let found = self.session.execute_unpaged(&self.read, (users, sessions)).await?;
            // What is read has to be there to be paired.
            anyhow::ensure!(found.into_rows_result()?.rows_num() >= rows.len(), "a row was lost");
            Ok(())
        }))
        .await?;
        try_join_all(step.decided.iter().map(|rows| self.insert(rows))).await?;
        Ok(())
    }

    async fn insert(&self, rows: &[Row]) -> anyhow::Result<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        for row in rows {
            batch.append_statement(match row {
                Row::Fact(..) => self.fact.clone(),
                Row::Completed(..) => self.completed.clone(),
                Row::Start(..) => self.start.clone(),
            });
        }
        let _permit = self.permits.acquire().await?;
        // A machine that stands still for seconds makes the server give up; the rows are the same when they come again.
        let mut tries = 0;
        while let Err(error) = self.session.batch(&batch, rows).await {
            tries += 1;
            anyhow::ensure!(tries < TRIES, "{error}");
        }
        Ok(())
    }
}

impl Reader {
    pub(super) async fn connect(nodes: &str, keyspace: &str) -> anyhow::Result<Self> {
        let session = connect(nodes, keyspace).await?;
        let last = session.prepare(LAST).await?;
        Ok(Self(Arc::new((session, last))))
    }

    pub(super) fn last_sessions(
        &self,
        user: &str,
    ) -> impl Future<Output = anyhow::Result<Bytes>> + Send + use<> {
        let (reader, user) = (self.clone(), user.to_owned());
        async move {
            let (session, last) = &*reader.0;
            let found = session.execute_unpaged(last, (user,)).await?.into_rows_result()?;
            anyhow::ensure!(found.rows_num() > 0, "nothing was found");
            Ok(Bytes::new())
        }
    }
}

/// Every request, made before the clock runs.
fn steps(file: &Path) -> anyhow::Result<Vec<Step>> {
    let mut known: HashMap<SessionKey, SessionFacts> = HashMap::new();
    let lines: Vec<_> = super::lines(file)?.collect::<anyhow::Result<_>>()?;
    let steps = lines.chunks(EVENTS).map(|lines| {
        let mut facts: BTreeMap<String, Vec<(SessionKey, Row)>> = BTreeMap::new();
        let mut users: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut partitions: BTreeMap<(String, i64), Vec<Row>> = BTreeMap::new();
        for (_, line) in lines {
            let event = SessionEvent::parse(line).map_err(|rejection| anyhow::anyhow!(rejection.detail))?;
            let (key, fact): (SessionKey, Fact) = event.into();
            let all = known.entry(key.clone()).or_default();
            all.absorb(&fact);
            let (user, session) = (key.user.to_string(), key.session.to_string());
            let (kind, ts, country) = match &fact {
                Fact::Start(start) => (0, start.ts, start.country.as_str().to_owned()),
                Fact::End(ts) => (1, *ts, String::new()),
            };
            for effect in pairing::decide(&key, all, std::slice::from_ref(&fact)) {
                match effect {
                    Effect::RecordStart(row) => {
                        let (country, ts) = (row.country.as_str().to_owned(), row.ts.millis());
                        let row = Row::Start(country.clone(), ts, session.clone(), user.clone());
                        partitions.entry((country, ts.div_euclid(DAY))).or_default().push(row);
                    }
                    Effect::Complete(row) => {
                        let (start, end) = (row.started_at.millis(), row.ended_at.millis());
                        let country = row.country.as_str().to_owned();
                        let row = Row::Completed(user.clone(), end, session.clone(), start, country);
                        let rows = users.entry(user.clone()).or_default();
                        rows.push(row);
                        if end - start >= DAY / 2 {
                            rows.push(Row::Fact(
                                user.clone(),
                                session.clone(),
                                1,
                                end,
                                String::new(),
                                1,
                                start,
                            ));
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
        let mut step = Step::default();
        let facts: Vec<_> = facts.into_iter().collect();
        let mut facts = facts.into_iter().peekable();
        while facts.peek().is_some() {
            let (mut rows, mut names, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
            for (user, of_user) in facts.by_ref().take(PARTITIONS) {
                names.push(user);
                for (key, row) in of_user {
                    sessions.push(key.session.to_string());
                    rows.push(row);
                }
            }
            step.facts.push((rows, names, sessions));
        }
        step.decided = together(users.into_values());
        step.decided.extend(together(partitions.into_values()));
        Ok(step)
    });
    steps.collect()
}

/// The rows of ten partitions in a request.
fn together(partitions: impl Iterator<Item = Vec<Row>>) -> Vec<Vec<Row>> {
    let mut requests: Vec<Vec<Row>> = Vec::new();
    for (number, rows) in partitions.enumerate() {
        match requests.last_mut() {
            Some(last) if number % PARTITIONS != 0 => last.extend(rows),
            _ => requests.push(rows),
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
                // Days count from 2^31.
                let day = u32::try_from((1_i64 << 31) + ts.div_euclid(DAY)).unwrap_or_default();
                (country, CqlDate(day), time(ts), session, user, TTL).serialize(context, writer)
            }
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}
