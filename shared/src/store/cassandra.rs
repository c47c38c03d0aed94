//! The store on Apache Cassandra, for more than one process and more than one machine.
//!
//! Every row is added by an idempotent INSERT and read at a quorum, so any process may do, repeat or give up any step. No
//! conditional update, no counter, no logged batch, no delete: what is old leaves by its time to live. The tables, and why
//! they are so, are in `deploy/schema.cql`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use scylla::response::PagingState;

use self::{
    lifetime::Stamps,
    memo::Memo,
    partition::{Day, Layouts, Partition},
    request::{For, Requests},
};
use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart},
    store::{Effect, Known, SessionPosition, Sighting, StartPosition, StoreError, Window, lock},
    timestamp::Timestamp,
};

mod absorb;
mod apply;
mod connect;
mod failure;
mod gather;
mod insert;
mod lifetime;
mod listing;
mod memo;
mod merge;
mod options;
mod pack;
mod partition;
mod replication;
mod request;
mod setup;
mod starts;
mod statements;
mod stored;
mod tls;

pub use self::{
    connect::OpenError,
    options::{CassandraOptions, CassandraTls, OnRetry, RetryCause},
    replication::Replication,
    setup::setup,
};

/// How many sessions with as many facts as they may have are remembered.
const FULL_SESSIONS: usize = 10_000;
/// How many partitions are remembered as written to.
const WRITTEN_PARTITIONS: usize = 20_000;
/// How many countries are remembered with their newest day.
const COUNTRIES: usize = 2_000;

/// The store on Cassandra. Clones share its connections.
#[derive(Clone)]
pub struct CassandraStore(Arc<Shared>);

/// What the clones share.
struct Shared {
    requests: Requests,
    keyspace: String,
    margin_ms: i64,
    stamps: Stamps,
    layouts: Layouts,
    /// Sessions that take no more facts: so that nobody can make one grow for ever.
    full: Memo<SessionKey, ()>,
    /// Partitions of starts that are known to exist, and the newest day that is known of each country.
    partitions: Memo<Partition, ()>,
    countries: Memo<Country, Day>,
}

impl CassandraStore {
    /// Connects, and prepares what will be asked.
    ///
    /// # Errors
    /// [`OpenError`], which says what to mend; [`OpenError::NoSchema`] before `bookend setup` was done.
    pub async fn open(options: CassandraOptions) -> Result<Self, OpenError> {
        let requests = connect::requests(&options).await?;
        Ok(Self(Arc::new(Shared {
            requests,
            keyspace: options.keyspace,
            margin_ms: options.margin_ms,
            stamps: Stamps::default(),
            layouts: Layouts::new(options.starts_per_partition),
            full: Memo::new(FULL_SESSIONS),
            partitions: Memo::new(WRITTEN_PARTITIONS),
            countries: Memo::new(COUNTRIES),
        })))
    }

    pub(super) async fn absorb(
        &self,
        sightings: Arc<Vec<Sighting>>,
        now: Timestamp,
    ) -> Result<Vec<Known>, StoreError> {
        self.0.absorb(&sightings, now).await
    }

    pub(super) async fn apply(
        &self,
        effects: Arc<Vec<Effect>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.apply(&effects, now).await
    }

    pub(super) async fn countries(
        &self,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, StoreError> {
        self.0.countries(horizon).await
    }

    pub(super) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>, StoreError> {
        self.0.starts(country, window, after, limit).await
    }

    pub(super) async fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        self.0.count_starts(country, window, step).await
    }

    pub(super) async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>, StoreError> {
        self.0.completed(user, horizon, after, limit).await
    }

    pub(super) async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        self.0.sessions(user, after.as_ref(), limit).await
    }

    pub(super) async fn facts(&self, key: &SessionKey) -> Result<SessionFacts, StoreError> {
        self.0.facts(key).await
    }

    pub(super) async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        self.0.scan(after.as_ref(), limit).await
    }

    /// Asks for something small at the quorum that everything else needs.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        let requests = &self.0.requests;
        let statement = &requests.statements.countries;
        requests
            .page(For::Answering, &listing::paged(statement, 1), &(), PagingState::start())
            .await?;
        Ok(())
    }
}

/// A row that this program never writes.
fn corrupt(table: &str, what: &(impl fmt::Display + ?Sized)) -> StoreError {
    StoreError::Corrupt(format!("{table}: {what}"))
}

impl fmt::Debug for CassandraStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CassandraStore")
    }
}
