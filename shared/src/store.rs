//! The store: facts, completed sessions and starts by country, on one of two backends.
//!
//! Rows are only ever added. When more facts change the result of a session, a marker row is added
//! beside the superseded row, and every read skips rows that have a marker. Every verb takes a
//! batch and is awaited, because Cassandra depends on grouped, concurrent requests.
//!
//! The store never decides what a session is: see [`crate::session`].

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{Stream, future::Either};
use prometheus::Registry;

use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart},
    skew::{self, Server, Skew},
    timestamp::Timestamp,
};

pub mod cassandra;
mod checkpoint;
pub mod config;
pub mod embedded;
mod error;
mod memo;
mod pulse;
mod rows;
mod task;

pub use self::{
    cassandra::CassandraStore,
    checkpoint::{Checkpoint, Holds, LogId},
    embedded::EmbeddedStore,
    error::{Result, StoreError},
    pulse::Pulse,
    rows::{Effect, Known, SessionPosition, Sighting, StartPosition, Window},
};

/// A store of sessions. Clones share it.
#[derive(Clone, Debug)]
pub enum Store {
    /// An engine in this process, in a data directory.
    Embedded(EmbeddedStore),
    /// A keyspace of a Cassandra cluster.
    Cassandra(Arc<CassandraStore>),
}

macro_rules! on_backend {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Embedded($store) => $call,
            Self::Cassandra($store) => $call,
        }
    };
}

/// Every verb fails with a [`StoreError`]. After a failed write, some of it may have been added;
/// adding it again is harmless.
impl Store {
    /// Whether only this process adds facts, each in one step with the reading of its session.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Adds facts at the time `now` and, once they are acknowledged, reads back every fact of their
    /// sessions. Returns one [`Known`] per sighting, in the order of `sightings`, which name each
    /// session once. A fact older than the retention at `now` may be reported as expired.
    pub async fn absorb(
        &self,
        sightings: impl Into<Arc<Vec<Sighting>>>,
        now: Timestamp,
    ) -> Result<Vec<Known>> {
        match self {
            Self::Embedded(store) => store.absorb(sightings.into()).await,
            Self::Cassandra(store) => store.absorb(&sightings.into(), now).await,
        }
    }

    /// Adds rows at the time `now`, and the countries that they name. Skips rows of sessions that
    /// started more than [`RETENTION`](crate::timestamp::RETENTION) before `now`.
    pub async fn apply(&self, effects: impl Into<Arc<Vec<Effect>>>, now: Timestamp) -> Result<()> {
        match self {
            Self::Embedded(store) => store.apply(effects.into(), now).await,
            Self::Cassandra(store) => store.apply(&effects.into(), now).await,
        }
    }

    /// Returns when everything added before is durable.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] when the store can no longer promise that.
    pub async fn persist(&self) -> Result<()> {
        match self {
            Self::Embedded(store) => store.persist().await,
            // Acknowledged rows are in the commit logs of a quorum. The servers must be configured
            // to sync those before they acknowledge.
            Self::Cassandra(_) => Ok(()),
        }
    }

    /// The same, with a note in the embedded store that it holds every record of `log` before
    /// `offsets`. The note is for the next start: see [`Checkpoint`].
    ///
    /// # Errors
    /// As for [`Store::persist`].
    pub async fn persist_to(&self, log: LogId, offsets: BTreeMap<i32, i64>) -> Result<()> {
        match self {
            Self::Embedded(store) => store.persist_to(log, offsets).await,
            Self::Cassandra(_) => Ok(()),
        }
    }

    /// At most `limit` countries after the country `after`, in order, that have a start at or after
    /// `horizon`, superseded or not. Each has an upper bound on its newest start, so that callers
    /// can skip countries that end before their window. Returns fewer only when there are no more.
    pub async fn countries(
        &self,
        horizon: Timestamp,
        after: Option<Country>,
        limit: usize,
    ) -> Result<Vec<(Country, Timestamp)>> {
        on_backend!(self, store => store.countries(horizon, after, limit).await)
    }

    /// At most `limit` starts of `country` in `window` and after the position `after`. Newest
    /// first; equal times are ordered by session, then by user.
    pub async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>> {
        on_backend!(self, store => store.starts(country, window, after, limit).await)
    }

    /// All starts that [`starts`](Self::starts) would list, in pieces of `size`; only the last one
    /// may be smaller, and none is empty. The caller takes about `most`, so that not much more is
    /// read ahead. A stream on Cassandra holds at most 16 MB of rows.
    pub fn all_starts(
        &self,
        country: Country,
        window: Window,
        after: Option<StartPosition>,
        size: usize,
        most: usize,
    ) -> impl Stream<Item = Result<Vec<SessionStart>>> + Send + use<> {
        match self.clone() {
            Self::Embedded(store) => Either::Left(store.all_starts(country, window, after, size)),
            Self::Cassandra(store) => {
                Either::Right(store.all_starts(country, window, after, size, most))
            }
        }
    }

    /// Number of starts of each of `countries`, which are in order, in each slot of `step`
    /// milliseconds of `window`, by the first instant of the slot. Slots without a start are
    /// omitted.
    pub async fn count_starts(
        &self,
        countries: Vec<Country>,
        window: Window,
        step: i64,
    ) -> Result<Vec<BTreeMap<Timestamp, u64>>> {
        on_backend!(self, store => store.count_starts(countries, window, step).await)
    }

    /// At most `limit` completed sessions of `user` that started at or after `horizon`, after the
    /// position `after`. Newest end first; equal ends are ordered by session.
    pub async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>> {
        on_backend!(self, store => store.completed(user, horizon, after, limit).await)
    }

    /// At most `limit` sessions of `user` with all their facts, ordered by session, after the
    /// session `after`. Returns fewer only when there are no more.
    pub async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        on_backend!(self, store => store.sessions(user, after, limit).await)
    }

    /// The number of sessions of a user that one query may read, so that it takes some tens of
    /// milliseconds.
    #[must_use]
    pub fn sessions_per_query(&self) -> usize {
        match self {
            Self::Embedded(_) => 20_000,
            Self::Cassandra(_) => 3_000,
        }
    }

    /// Every fact of one session; an empty set when the session is unknown.
    pub async fn facts(&self, key: &SessionKey) -> Result<SessionFacts> {
        on_backend!(self, store => store.facts(key).await)
    }

    /// At most `limit` sessions of all users with all their facts, after the session `after`, in
    /// the store's own order. For checks of the whole store.
    pub async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        on_backend!(self, store => store.scan(after, limit).await)
    }

    /// At most `limit` users that have a completed session, also a superseded or an expired one,
    /// after the user `after`, in the store's own order. For checks of the whole store.
    pub async fn completed_users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        on_backend!(self, store => store.completed_users(after, limit).await)
    }

    /// Removes events and rows from before `horizon`, one bounded step at a time, after the session
    /// `after`. Returns the session to continue after, or `None` at the end.
    pub async fn sweep(
        &self,
        horizon: Timestamp,
        after: Option<SessionKey>,
    ) -> Result<Option<SessionKey>> {
        match self {
            Self::Embedded(store) => store.sweep(horizon, after).await,
            // Every row has a time to live.
            Self::Cassandra(_) => Ok(None),
        }
    }

    /// Waits until the store is open; until then, every request fails. An embedded store is open at
    /// once.
    pub async fn opened(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Cassandra(store) => store.opened().await,
        }
    }

    /// Whether a request that failed with `error` may succeed later, while this process runs.
    /// Nothing that Cassandra answers is final.
    #[must_use]
    pub fn may_recover_from(&self, error: &StoreError) -> bool {
        match self {
            Self::Embedded(_) => matches!(error, StoreError::Unavailable(_)),
            Self::Cassandra(_) => true,
        }
    }

    /// Registers the store's own metrics, and starts to measure the clocks of its servers until the
    /// store is dropped. Needs a running runtime.
    pub fn watch(&self, registry: &Registry) -> prometheus::Result<()> {
        match self {
            // One set of rules and dashboards serves every process, so each has the series.
            Self::Embedded(_) => skew::register::<String>(registry, Server::Cassandra, None),
            Self::Cassandra(store) => {
                let skew = Arc::new(Skew::new(Server::Cassandra));
                skew::register(registry, Server::Cassandra, Some(Arc::clone(&skew)))?;
                cassandra::clocks::start(store, skew);
                cassandra::metrics::register(registry, store)
            }
        }
    }

    /// Checks whether the store can serve requests now.
    pub async fn ready(&self) -> Result<()> {
        on_backend!(self, store => store.ready().await)
    }
}
