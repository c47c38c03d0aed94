//! The store: facts, completed sessions and starts by country, on one of the closed set of backends.
//!
//! Rows are only ever added: a row that a smaller set of facts produced and a larger one does not is superseded by a marker
//! row beside it, and every read leaves out what has a marker. Every verb takes a batch and is awaited, for the backends that
//! live on grouped requests. Nothing here decides what a session is: see [`crate::session`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;

use crate::{
    event::{Country, SessionId, UserId},
    session::{Absorbed, CompletedSession, Fact, SessionFacts, SessionKey, SessionStart},
    timestamp::{RETENTION, Timestamp},
};

pub mod cassandra;
pub mod config;
pub mod embedded;

pub use cassandra::CassandraStore;
pub use embedded::EmbeddedStore;

/// Where sessions live. Clones share one store.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this process, in a data directory.
    Embedded(EmbeddedStore),
    /// On the nodes of a Cassandra cluster.
    Cassandra(CassandraStore),
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// It cannot now; the same request may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It failed in a way after which only a restart, and the recovery that comes with it, can be trusted.
    #[error("the store has failed and needs a restart: {0}")]
    Poisoned(String),
    /// It holds what it never wrote.
    #[error("the store holds an unreadable row: {0}")]
    Corrupt(String),
}

/// Facts to add to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The session.
    pub key: SessionKey,
    /// Its facts. Of one that is repeated, only the first can be new.
    pub facts: Vec<Fact>,
}

/// All that is known of a session once the facts of a [`Sighting`] were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every fact of the session, those just added included.
    pub facts: SessionFacts,
    /// What became of each fact of the sighting, in its order.
    pub absorbed: Vec<Absorbed>,
}

/// One row to add.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// List a start in its country.
    RecordStart(SessionStart),
    /// List a session as complete.
    Complete(CompletedSession),
    /// Mark a start as not (or no longer) its session's canonical one.
    SupersedeStart(SessionStart),
    /// Mark a start and end as not (or no longer) their session's canonical ones.
    SupersedeCompleted(CompletedSession),
}

/// A half-open span of time: `from <= ts < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first instant in it.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// Where a listing of a country's starts was cut: it goes on behind this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPosition {
    /// The last start that was listed.
    pub ts: Timestamp,
    /// Its session.
    pub session: SessionId,
    /// Its user.
    pub user: UserId,
}

/// Where a listing of a user's sessions was cut: it goes on behind this session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPosition {
    /// The time by which the listing is ordered: the end of a complete or orphan session, the start of an open one.
    pub ts: Timestamp,
    /// The session.
    pub session: SessionId,
}

macro_rules! on_backend {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Embedded($store) => $call,
            Self::Cassandra($store) => $call,
        }
    };
}

impl Store {
    /// Adds facts at the time `now` and, after they are acknowledged, reads back every fact of their sessions; in the order of
    /// `sightings`, which name each session once. A fact whose year is over at `now` may be answered as one that has left.
    ///
    /// # Errors
    /// Any [`StoreError`]; some of the facts may have been added all the same, and adding them again is harmless.
    pub async fn absorb(
        &self,
        sightings: impl Into<Arc<Vec<Sighting>>>,
        now: Timestamp,
    ) -> Result<Vec<Known>, StoreError> {
        match self {
            Self::Embedded(store) => store.absorb(sightings.into()).await,
            Self::Cassandra(store) => store.absorb(sightings.into(), now).await,
        }
    }

    /// Adds rows at the time `now`, and makes known the countries they name. Rows of a session that began more than
    /// [`RETENTION`] before `now` are left out.
    ///
    /// # Errors
    /// Any [`StoreError`]; some of the rows may have been added all the same, and adding them again is harmless.
    pub async fn apply(
        &self,
        effects: impl Into<Arc<Vec<Effect>>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.apply(effects.into(), now - RETENTION).await,
            Self::Cassandra(store) => store.apply(effects.into(), now).await,
        }
    }

    /// Returns when everything that was added before is durable.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] when that can no longer be promised.
    pub async fn persist(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.persist().await,
            // What is acknowledged is in the commit logs of a quorum, which the servers have to sync before they acknowledge.
            Self::Cassandra(_) => Ok(()),
        }
    }

    /// Every country that has a start at or after `horizon`, superseded or not, each with an instant behind which it has none,
    /// not always the first such: who wants only what is newer need not ask for its starts.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn countries(
        &self,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, StoreError> {
        on_backend!(self, store => store.countries(horizon).await)
    }

    /// At most `limit` starts of `country` in `window`, newest first, equal times by session and user; those behind `after`
    /// when it is given.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>, StoreError> {
        on_backend!(self, store => store.starts(country, window, after, limit).await)
    }

    /// How many starts of `country` lie in each slot of `step` milliseconds of `window`, by the slot's beginning; empty
    /// slots are left out.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        on_backend!(self, store => store.count_starts(country, window, step).await)
    }

    /// At most `limit` complete sessions of `user` that started at or after `horizon`, newest end first, equal ends by
    /// session; those behind `after` when it is given.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>, StoreError> {
        on_backend!(self, store => store.completed(user, horizon, after, limit).await)
    }

    /// At most `limit` sessions of `user` with all their facts, in the order of the sessions' names, those behind `after`
    /// when it is given; fewer only when there are no more.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        on_backend!(self, store => store.sessions(user, after, limit).await)
    }

    /// Every fact of one session; an empty set when nothing is known of it.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn facts(&self, key: &SessionKey) -> Result<SessionFacts, StoreError> {
        on_backend!(self, store => store.facts(key).await)
    }

    /// Every session of every user with all its facts, behind `after`, at most `limit`, in the store's own order: for
    /// checks of the whole store.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        on_backend!(self, store => store.scan(after, limit).await)
    }

    /// Removes from the store what happened before `horizon`, a bounded step at a time from `after` on; returns where to go
    /// on, or `None` at the end.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sweep(
        &self,
        horizon: Timestamp,
        after: Option<SessionKey>,
    ) -> Result<Option<SessionKey>, StoreError> {
        match self {
            Self::Embedded(store) => store.sweep(horizon, after).await,
            // Every row has a time to live.
            Self::Cassandra(_) => Ok(None),
        }
    }

    /// Whether the store can serve, and why not.
    ///
    /// # Errors
    /// The [`StoreError`] that a request would meet now.
    pub async fn ready(&self) -> Result<(), StoreError> {
        on_backend!(self, store => store.ready().await)
    }
}

/// What the locks of a store guard is replaced as a whole, so a holder that panicked leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Effect {
    /// When the session of this row began: the time that its retention counts from.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        match self {
            Self::RecordStart(row) | Self::SupersedeStart(row) => row.ts,
            Self::Complete(row) | Self::SupersedeCompleted(row) => row.started_at,
        }
    }
}

impl Window {
    /// The part of this window that lies at or after `horizon`.
    #[must_use]
    pub fn clip(self, horizon: Timestamp) -> Self {
        Self { from: self.from.max(horizon), to: self.to }
    }
}
