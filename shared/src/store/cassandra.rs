//! The store on Apache Cassandra, shared by any number of processes on any number of machines.
//!
//! Every row is added by an idempotent INSERT and read at a quorum, so any process may repeat or
//! abandon any step. There are no conditional updates, no counters, no logged batches and no
//! deletes: rows expire by their time to live. `deploy/schema.cql` defines the tables and gives
//! their reasons.

use std::{sync::Arc, time::Duration};

use self::{
    driver::{Requests, paged},
    facts::Stamps,
    opening::Opening,
    starts::{Day, Layouts, Partition},
};
use crate::{
    event::Country,
    session::SessionKey,
    store::{Result, memo::Memo},
};

mod apply;
pub(in crate::store) mod clocks;
mod completed;
mod driver;
mod facts;
mod insert;
mod lifetime;
pub(in crate::store) mod metrics;
mod opening;
mod schema;
mod starts;
mod trial;
mod units;

pub use self::{
    driver::{CassandraOpenError, CassandraOptions, CassandraTls, OnRetry, RetryCause},
    schema::{Replication, setup, setup_from},
    trial::Trial,
};

/// Number of full sessions to remember.
const FULL_SESSIONS: usize = 10_000;
/// Number of written partitions to remember.
const WRITTEN_PARTITIONS: usize = 20_000;
/// How long a success proves that the store serves.
const RECENT: Duration = Duration::from_secs(10);
/// Number of countries to remember with their newest day.
const COUNTRIES: usize = 2_000;

/// The store on Cassandra.
#[derive(Debug)]
pub struct CassandraStore {
    opening: Arc<Opening>,
    keyspace: String,
    margin_ms: i64,
    stamps: Stamps,
    layouts: Layouts,
    /// Sessions that accept no more facts, so that no client can make a session grow without limit.
    full: Memo<SessionKey, ()>,
    /// Partitions of starts that are listed in `start_partitions`.
    partitions: Memo<Partition, ()>,
    /// The newest day of each country that is listed in `countries`.
    countries: Memo<Country, Day>,
}

impl CassandraStore {
    /// Connects and prepares every statement. Warns if a newer version changed the schema.
    ///
    /// # Errors
    /// [`CassandraOpenError`]; [`CassandraOpenError::NoSchema`] if `bookend setup` has not run.
    pub async fn open(options: CassandraOptions) -> Result<Self, CassandraOpenError> {
        Ok(Self::new(Opening::open(&options).await?, options))
    }

    /// Opens the store in the background, however long that takes, and makes the `trials`. Until
    /// then, every request fails with the cause.
    #[must_use]
    pub fn start(options: CassandraOptions, trials: &'static [Trial]) -> Self {
        Self::new(Opening::start(options.clone(), trials), options)
    }

    fn new(opening: Arc<Opening>, options: CassandraOptions) -> Self {
        Self {
            opening,
            keyspace: options.keyspace,
            margin_ms: options.margin_ms,
            stamps: Stamps::default(),
            layouts: Layouts::new(options.starts_per_partition),
            full: Memo::new(FULL_SESSIONS),
            partitions: Memo::new(WRITTEN_PARTITIONS),
            countries: Memo::new(COUNTRIES),
        }
    }

    /// Waits until the store is open.
    pub(in crate::store) async fn opened(&self) {
        self.opening.opened().await;
    }

    /// The connection; an error with the cause if the store is not open.
    fn requests(&self) -> Result<&Requests> {
        self.opening.requests()
    }

    /// Checks that a request has succeeded recently, or reads one row at the quorum that every
    /// other request needs. A store that serves slowly is ready.
    pub(in crate::store) async fn ready(&self) -> Result<()> {
        let requests = self.requests()?;
        if requests.succeeded_within(RECENT) {
            return Ok(());
        }
        requests.probe(&paged(&requests.statements.countries, 1), &("",)).await
    }
}
