//! The bare driver of Cassandra: the same rows and reads as the service for the same events,
//! computed before the measurement and sent by the fastest loop that was found.
//!
//! A step has as many events as a micro-batch of the consumer. It writes facts in batches of ten
//! users and reads each batch back after its acknowledgement. Then it writes the rows of the
//! decisions in batches of ten partitions.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use scylla::{
    client::{PoolSize, session::Session, session_builder::SessionBuilder},
    statement::{
        Consistency,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::sync::Semaphore;

use self::rows::Row;
pub(super) use self::rows::{Step, steps};

mod rows;

/// The steps that overlap.
const STEPS: usize = 2;
/// The most requests in flight.
const REQUESTS: usize = 512;
/// The most attempts of a request.
const TRIES: usize = 5;

const FACT: &str = "INSERT INTO facts (user_id, session_id, kind, ts, country, marker, earlier, seen) \
    VALUES (?, ?, ?, ?, ?, ?, ?, 0) USING TIMESTAMP ? AND TTL ?";
const READ: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, WRITETIME(seen) FROM facts \
    WHERE user_id IN ? AND session_id IN ?";
const COMPLETED: &str = "INSERT INTO completed_by_user (user_id, ended_at, session_id, started_at, country, marker) \
    VALUES (?, ?, ?, ?, ?, 0) USING TTL ?";
const START: &str = "INSERT INTO starts_by_country (country, day, shards, shard, ts, session_id, user_id, marker) \
    VALUES (?, ?, 1, 0, ?, ?, ?, 0) USING TTL ?";
const LAST: &str = "SELECT ended_at, session_id, started_at, country, marker FROM completed_by_user WHERE user_id = ? LIMIT 21";

struct Bare {
    session: Session,
    fact: PreparedStatement,
    read: PreparedStatement,
    completed: PreparedStatement,
    start: PreparedStatement,
    permits: Semaphore,
}

/// Reads the newest rows of a user.
#[derive(Clone)]
pub(super) struct Reader(Arc<(Session, PreparedStatement)>);

/// Writes the rows of `steps` to new tables and returns the events per second.
pub(super) async fn run(nodes: &str, keyspace: &str, steps: &[Step]) -> anyhow::Result<f64> {
    let events: usize =
        steps.iter().flat_map(|step| &step.facts).map(|(rows, ..)| rows.len()).sum();
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
    stream::iter(steps)
        .map(|step| bare.step(step))
        .buffered(STEPS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

/// Drops a keyspace.
pub(super) async fn remove(nodes: &str, keyspace: &str) -> anyhow::Result<()> {
    let session = connect(nodes, keyspace).await?;
    session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await?;
    Ok(())
}

async fn connect(nodes: &str, keyspace: &str) -> anyhow::Result<Session> {
    let one = std::num::NonZeroUsize::MIN;
    let profile = scylla::client::execution_profile::ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .build();
    let builder =
        SessionBuilder::new().known_nodes(nodes.split(',')).pool_size(PoolSize::PerHost(one));
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
            // Pairing needs every row that was written.
            anyhow::ensure!(
                found.into_rows_result()?.rows_num() >= rows.len(),
                "fewer rows were read than written"
            );
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
        // A machine that pauses for seconds causes timeouts. Repeating the same rows is harmless.
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
            anyhow::ensure!(found.rows_num() > 0, "the user has no rows");
            Ok(Bytes::new())
        }
    }
}
