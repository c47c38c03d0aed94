//! The store in this process: an LSM engine in a data directory, owned by one process at a time.
//!
//! The engine's calls block, so every verb runs them on a thread for blocking work. Additions to the facts of a session are
//! read, merged and written under one lock: all of a session's facts are one row, and reading it back costs one look-up.

use std::{
    collections::{BTreeMap, HashSet},
    fmt, io,
    path::Path,
    sync::{Arc, Mutex},
};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::{BlockSizePolicy, FilterPolicy, FilterPolicyEntry},
};
use thiserror::Error;

use crate::{
    disk::FreeSpace,
    event::{Country, SessionId, UserId},
    open_files,
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart},
    store::{Effect, Known, SessionPosition, Sighting, StartPosition, StoreError, Window, lock},
    timestamp::Timestamp,
};

mod keys;
mod read;
mod sweep;
mod write;

/// How much of the engine's journal is kept, in bytes, and read again by a restart: the least that it allows.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The embedded store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Engine>);

/// What the embedded store may use.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedStoreOptions {
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// Memory for rows not yet sorted to disk, in bytes, for all kinds of rows together.
    pub write_buffer_bytes: u64,
    /// Room that is to stay free on the disk, in bytes: with less, the store waits.
    pub reserve_bytes: u64,
}

/// Why the embedded store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory is in use by another process; stop that one first")]
    Locked,
    /// The file system refused.
    #[error("the data directory cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The engine found it damaged, or of another version.
    #[error("the store in the data directory cannot be opened: {0}")]
    Engine(String),
}

struct Engine {
    db: Database,
    facts: Keyspace,
    completed: Keyspace,
    starts: Keyspace,
    countries: Keyspace,
    space: FreeSpace,
    /// Held from reading a session's facts to writing them merged; guards the countries that were written already.
    writing: Mutex<HashSet<Country>>,
    /// The first failure after which nothing more may be promised.
    failed: Mutex<Option<String>>,
}

impl Default for EmbeddedStoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 48 << 20, write_buffer_bytes: 48 << 20, reserve_bytes: 256 << 20 }
    }
}

impl EmbeddedStore {
    /// Opens the store in `dir`, which is created when it is missing.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, or it cannot be read.
    pub fn open(dir: &Path, options: EmbeddedStoreOptions) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir)?;
        let buffer = options.write_buffer_bytes;
        let db = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .worker_threads(1)
            .max_cached_files(Some(open_files::CACHED))
            .max_journaling_size(JOURNAL_BYTES)
            .open()?;
        let rows = |share: u64| {
            KeyspaceCreateOptions::default()
                .max_memtable_size(buffer / share)
                .data_block_size_policy(BlockSizePolicy::all(8 << 10))
        };
        // Only facts are looked up one by one; the others are read in ranges, where a filter is of no use.
        let ranges = |share| rows(share).filter_policy(FilterPolicy::all(FilterPolicyEntry::None));
        let engine = Engine {
            facts: db.keyspace("facts", || rows(4))?,
            completed: db.keyspace("completed", || ranges(8))?,
            starts: db.keyspace("starts", || ranges(8))?,
            countries: db.keyspace("countries", || ranges(64))?,
            db,
            space: FreeSpace::of(dir, options.reserve_bytes),
            writing: Mutex::default(),
            failed: Mutex::default(),
        };
        let known =
            engine.known_countries().map_err(|error| OpenError::Engine(error.to_string()))?;
        *lock(&engine.writing) = known.into_iter().collect();
        Ok(Self(Arc::new(engine)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(outcome) => outcome,
            Err(lost) => {
                Err(StoreError::Unavailable(format!("a request to the store was lost: {lost}")))
            }
        }
    }

    pub(super) async fn absorb(
        &self,
        sightings: Arc<Vec<Sighting>>,
    ) -> Result<Vec<Known>, StoreError> {
        self.blocking(move |engine| engine.absorb(&sightings)).await
    }

    pub(super) async fn apply(
        &self,
        effects: Arc<Vec<Effect>>,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        self.blocking(move |engine| engine.apply(&effects, horizon)).await
    }

    pub(super) async fn persist(&self) -> Result<(), StoreError> {
        self.blocking(|engine| {
            engine.ready()?;
            engine.db.persist(PersistMode::SyncData).map_err(|error| engine.fail(&error))
        })
        .await
    }

    pub(super) async fn countries(
        &self,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, StoreError> {
        self.blocking(move |engine| engine.countries(horizon)).await
    }

    pub(super) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>, StoreError> {
        let country = country.clone();
        self.blocking(move |engine| engine.starts(&country, window, after.as_ref(), limit)).await
    }

    pub(super) async fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        let country = country.clone();
        self.blocking(move |engine| engine.count_starts(&country, window, step)).await
    }

    pub(super) async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>, StoreError> {
        let user = user.clone();
        self.blocking(move |engine| engine.completed(&user, horizon, after.as_ref(), limit)).await
    }

    pub(super) async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        let user = user.clone();
        self.blocking(move |engine| engine.sessions(&user, after, limit)).await
    }

    pub(super) async fn facts(&self, key: &SessionKey) -> Result<SessionFacts, StoreError> {
        let key = key.clone();
        self.blocking(move |engine| engine.facts(&key)).await
    }

    pub(super) async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        self.blocking(move |engine| engine.scan(after.as_ref(), limit)).await
    }

    pub(super) async fn sweep(
        &self,
        horizon: Timestamp,
        after: Option<SessionKey>,
    ) -> Result<Option<SessionKey>, StoreError> {
        self.blocking(move |engine| engine.sweep(horizon, after.as_ref())).await
    }

    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        self.blocking(|engine| {
            engine.ready()?;
            engine.room()
        })
        .await
    }
}

impl Engine {
    fn ready(&self) -> Result<(), StoreError> {
        match lock(&self.failed).as_ref() {
            Some(cause) => Err(StoreError::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Whether there is room to write.
    fn room(&self) -> Result<(), StoreError> {
        self.space.check().map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// A failed write: the engine takes no more after it, and what it took last may or may not be there.
    fn fail(&self, error: &fjall::Error) -> StoreError {
        let mut failed = lock(&self.failed);
        let cause = failed.get_or_insert_with(|| error.to_string());
        StoreError::Poisoned(cause.clone())
    }
}

/// A failed read. It spoils nothing.
fn unread(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) => StoreError::Unavailable(error.to_string()),
        fjall::Error::Poisoned => StoreError::Poisoned(error.to_string()),
        other => StoreError::Corrupt(other.to_string()),
    }
}

fn corrupt(keyspace: &Keyspace, key: &[u8]) -> StoreError {
    StoreError::Corrupt(format!("{} {:?}", keyspace.name(), String::from_utf8_lossy(key)))
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedStore")
    }
}

impl From<fjall::Error> for OpenError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::Locked,
            fjall::Error::Io(error) => Self::Io(error),
            other => Self::Engine(other.to_string()),
        }
    }
}
