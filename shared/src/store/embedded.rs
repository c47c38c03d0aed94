//! The embedded store: an LSM engine in a data directory that one process owns.
//!
//! The engine blocks, so every verb is one call on a blocking thread and never runs on the
//! runtime's own threads. All facts of a session are one row, which is read, merged and written
//! under one lock.

use std::{fmt, io, path::Path, sync::Arc};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    config::{BlockSizePolicy, FilterPolicy, FilterPolicyEntry},
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::scan::{POINTS, Scan, ranges_at_a_time};
use crate::{
    disk::FreeSpace,
    event::Country,
    open_files,
    store::{Checkpoint, Pulse, Result, StoreError, memo::Memo, task::Task},
};

mod checkpoint;
mod keys;
mod pressure;
mod read;
mod scan;
mod sweep;
mod walk;
mod write;

/// Size limit of the engine's journal in bytes, all of which a restart replays: the engine's
/// minimum.
const JOURNAL_BYTES: u64 = 64 << 20;
/// The number of countries to remember as written.
const COUNTRIES: usize = 10_000;

/// The embedded store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Engine>);

/// Limits of the embedded store.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedStoreOptions {
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// Memory for rows not yet sorted to disk, in bytes, for all kinds of rows together.
    pub write_buffer_bytes: u64,
    /// Free disk space to preserve, in bytes: with less, the store refuses writes.
    pub reserve_bytes: u64,
}

/// Why the embedded store could not be opened.
#[derive(Debug, Error)]
pub enum EmbeddedStoreOpenError {
    /// A command that only reads found no store.
    #[error("it does not exist; check the path, or start the service, which creates it")]
    Missing,
    /// Another process owns the directory.
    #[error("the data directory is in use by another process; stop that process first")]
    Locked,
    /// The file system refused.
    #[error("{0}; check the path, its permissions and the disk")]
    Io(#[from] io::Error),
    /// The engine found damage, or files of another version.
    #[error("{0}; check the disk, and the version of Bookend that wrote the directory")]
    Engine(String),
}

struct Engine {
    db: Database,
    facts: Keyspace,
    completed: Keyspace,
    starts: Keyspace,
    countries: Keyspace,
    /// The most bytes of rows that are only in memory.
    most_unflushed: u64,
    space: FreeSpace,
    /// One permit for each read of few rows that may run.
    points: Arc<Semaphore>,
    /// The same for reads of any number of rows, which leave a processor to the others.
    ranges: Arc<Semaphore>,
    /// Held from reading the facts of a session until they are written back merged, and while
    /// countries are written or removed.
    writing: Mutex<()>,
    /// Countries that are already written.
    written: Memo<Country, ()>,
    /// The checkpoint as it was last written.
    held: Mutex<Option<Checkpoint>>,
    /// The first failure after which durability is unknown.
    failed: Mutex<Option<String>>,
}

impl Default for EmbeddedStoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 48 << 20, write_buffer_bytes: 48 << 20, reserve_bytes: 256 << 20 }
    }
}

impl EmbeddedStore {
    /// Opens the store in `dir`, and creates the directory if it is missing.
    ///
    /// # Errors
    /// [`EmbeddedStoreOpenError`]: another process owns the directory, or it cannot be read.
    pub fn open(dir: &Path, options: EmbeddedStoreOptions) -> Result<Self, EmbeddedStoreOpenError> {
        std::fs::create_dir_all(dir)?;
        Self::open_in(dir, options)
    }

    /// Opens an existing store for a command that only reads. Creates nothing.
    ///
    /// # Errors
    /// As for [`EmbeddedStore::open`], and [`EmbeddedStoreOpenError::Missing`].
    pub fn open_existing(
        dir: &Path,
        options: EmbeddedStoreOptions,
    ) -> Result<Self, EmbeddedStoreOpenError> {
        // The engine writes this file last when it creates a database.
        if !dir.join("version").try_exists()? {
            return Err(EmbeddedStoreOpenError::Missing);
        }
        Self::open_in(dir, options)
    }

    fn open_in(dir: &Path, options: EmbeddedStoreOptions) -> Result<Self, EmbeddedStoreOpenError> {
        let buffer = options.write_buffer_bytes;
        let db = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .worker_threads(1)
            .max_cached_files(Some(open_files::CACHED))
            .max_journaling_size(JOURNAL_BYTES)
            .open()?;
        let ranges = |share| ranges(buffer / share);
        let engine = Engine {
            facts: db.keyspace("facts", || rows(buffer / 4))?,
            completed: db.keyspace("completed", || ranges(8))?,
            starts: db.keyspace("starts", || ranges(8))?,
            countries: db.keyspace("countries", || ranges(64))?,
            db,
            most_unflushed: 2 * buffer,
            space: FreeSpace::of(dir, options.reserve_bytes),
            points: Arc::new(Semaphore::new(POINTS)),
            ranges: Arc::new(Semaphore::new(ranges_at_a_time())),
            writing: Mutex::default(),
            written: Memo::new(COUNTRIES),
            held: Mutex::default(),
            failed: Mutex::default(),
        };
        let unreadable = |error: StoreError| EmbeddedStoreOpenError::Engine(error.to_string());
        *engine.held.lock() = engine.read_checkpoint().map_err(unreadable)?;
        Ok(Self(Arc::new(engine)))
    }

    pub(super) async fn persist(&self) -> Result<()> {
        self.blocking(|engine| {
            engine.check_usable()?;
            engine.persist()
        })
        .await
    }

    pub(super) async fn ready(&self) -> Result<()> {
        self.blocking(Engine::check_writable).await
    }

    /// Runs a read on a thread that may block. The permit is held until the read ends, which is
    /// soon after its caller has given up, so reads never occupy all threads that writes need too.
    ///
    /// A task of its own takes the permit: a read ahead that its caller does not poll would
    /// otherwise hold up the read that the caller waits for.
    async fn reading<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&Engine, &mut Scan) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, permits, caller) = (self.clone(), Arc::clone(permits), Arc::new(()));
        let mut scan = Scan::of(&caller);
        let read = async move {
            // The semaphore is never closed.
            let permit = permits.acquire_owned().await.ok();
            let held = move |engine: &Engine| {
                let _permit = permit;
                work(engine, &mut scan)
            };
            store.blocking(held).await
        };
        let done = Task::spawn(read).done().await;
        Pulse::beat_of_task();
        drop(caller);
        done
    }

    /// Runs `work` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(outcome) => outcome,
            Err(lost) => {
                Err(StoreError::Unavailable(format!("a request was cancelled or panicked: {lost}")))
            }
        }
    }
}

impl Engine {
    fn check_usable(&self) -> Result<()> {
        match self.failed.lock().as_ref() {
            Some(cause) => Err(StoreError::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Checks that the engine is usable and that the disk has more than the reserve left.
    fn check_writable(&self) -> Result<()> {
        self.check_usable()?;
        self.space.check().map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Writes a batch. After a failure the engine refuses all further writes, and it is unknown
    /// whether the batch was written.
    fn commit(&self, batch: OwnedWriteBatch) -> Result<()> {
        batch.commit().map_err(|error| self.fail(&error))
    }

    fn persist(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncData).map_err(|error| self.fail(&error))
    }

    fn fail(&self, error: &fjall::Error) -> StoreError {
        let mut failed = self.failed.lock();
        let cause = failed.get_or_insert_with(|| in_words(error));
        StoreError::Poisoned(cause.clone())
    }
}

/// The options of rows that are kept in memory up to `buffer` bytes.
fn rows(buffer: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(buffer)
        .data_block_size_policy(BlockSizePolicy::all(8 << 10))
}

/// The same for rows that are read as ranges, which cannot use a filter. Only facts are read by
/// exact key.
fn ranges(buffer: u64) -> KeyspaceCreateOptions {
    rows(buffer).filter_policy(FilterPolicy::all(FilterPolicyEntry::None))
}

/// The error of a failed read, after which the store is still usable.
fn read_error(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) => StoreError::Unavailable(error.to_string()),
        fjall::Error::Poisoned => StoreError::Poisoned(in_words(&error)),
        other => StoreError::Corrupt(in_words(&other)),
    }
}

/// The engine's own text of an error is its debug format.
fn in_words(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::InvalidVersion(_) => "unknown format version".to_owned(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        fjall::Error::Unrecoverable => "the files are damaged".to_owned(),
        other => format!("the storage engine reports {other:?}"),
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

impl From<fjall::Error> for EmbeddedStoreOpenError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::Locked,
            fjall::Error::Io(error) => Self::Io(error),
            other => Self::Engine(in_words(&other)),
        }
    }
}
