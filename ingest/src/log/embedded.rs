//! The embedded log: journals of records and of dead letters, in a directory that one process owns.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use shared::{clock::Clock, store::LogId, timestamp::Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use self::{block::Entry, disk::Disk, journal::Journal, options::JournalOptions};
pub use self::{options::EmbeddedLogOptions, state::EmbeddedCursor};
use super::{DeadLetter, LogError, LogOpenError, NewRecord, Position, Record, murmur2};

mod block;
mod disk;
mod identity;
mod journal;
mod letters;
mod options;
mod read;
mod recovery;
mod redrive;
mod restart;
mod segment;
mod state;
mod writer;

/// The embedded log. Clones share it.
#[derive(Clone)]
pub struct EmbeddedLog(Arc<Inner>);

struct Inner {
    records: Journal,
    letters: Journal,
    dir: PathBuf,
    id: Mutex<LogId>,
    partitions: u8,
    clock: Clock,
    /// One redrive at a time.
    redriving: AsyncMutex<()>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, creating it if it is missing. `clock` sets append times.
    ///
    /// # Errors
    /// [`LogOpenError`]: another process has the directory open, or acknowledged bytes are damaged.
    /// A torn tail is not an error: it is cut off.
    pub fn open(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
    ) -> Result<Self, LogOpenError> {
        fs::create_dir_all(dir)?;
        Self::open_on(dir, options, clock, Disk::default(), identity::read_or_create)
    }

    /// Opens an existing log for a command that only reads. Creates no log and no identity.
    ///
    /// # Errors
    /// As for [`EmbeddedLog::open`], and [`LogOpenError::Missing`].
    pub fn open_existing(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
    ) -> Result<Self, LogOpenError> {
        check_exists(dir)?;
        Self::open_on(dir, options, clock, Disk::default(), identity::read_only)
    }

    /// Opens an existing log for a command that writes. Creates no log.
    ///
    /// # Errors
    /// As for [`EmbeddedLog::open`], and [`LogOpenError::Missing`].
    pub fn open_to_write(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
    ) -> Result<Self, LogOpenError> {
        check_exists(dir)?;
        Self::open(dir, options, clock)
    }

    fn open_on(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
        disk: Disk,
        identity: impl FnOnce(&Path) -> io::Result<LogId>,
    ) -> Result<Self, LogOpenError> {
        let lock = File::create(dir.join("lock"))?;
        lock.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => LogOpenError::Locked,
            TryLockError::Error(error) => error.into(),
        })?;
        let lock = Arc::new(lock);
        let journal = |name: &str, partitions| {
            let log = EmbeddedLogOptions { partitions, ..options };
            let options = JournalOptions { log, clock, disk: disk.clone() };
            Journal::open(&dir.join(name), options, Arc::clone(&lock))
        };
        let records = journal("records", options.partitions)?;
        let letters = journal("dead-letters", 1)?;
        let partitions = u8::try_from(records.positions().len())
            .map_err(|_| LogOpenError::Corrupt("it has more than 255 partitions".to_owned()))?;
        let (dir, id) = (dir.to_owned(), Mutex::new(identity(dir)?));
        let redriving = AsyncMutex::default();
        Ok(Self(Arc::new(Inner { records, letters, dir, id, partitions, clock, redriving })))
    }

    pub(super) async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let now = self.0.clock.now();
        let entries = records.into_iter().map(|record| {
            let key = record.key.unwrap_or_default();
            Entry {
                partition: murmur2::partition_u8(&key, self.0.partitions),
                append_time: record.append_time.unwrap_or(now),
                key,
                value: record.value,
            }
        });
        self.0.records.append(entries.collect()).await
    }

    pub(super) async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        Ok(self.0.records.poll(bytes).await?.into_iter().map(record).collect())
    }

    pub(super) async fn read(
        &self,
        cursor: &mut EmbeddedCursor,
        bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        Ok(self.0.records.read(cursor, bytes).await?.into_iter().map(record).collect())
    }

    pub(super) async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), LogError> {
        let (now, id) = (self.0.clock.now(), self.id());
        let entries = letters.into_iter().map(|letter| letters::write(letter, id, now));
        self.0.letters.append(entries.collect::<Result<_, _>>()?).await
    }

    /// The journal of the records.
    pub(crate) fn records(&self) -> &Journal {
        &self.0.records
    }

    pub(super) fn dead_letters(&self) -> u64 {
        let Position { committed, end } = self.0.letters.position(0);
        u64::try_from(end - committed).unwrap_or(0)
    }

    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.0.records.ready()?;
        self.0.letters.ready()
    }
}

fn check_exists(dir: &Path) -> Result<(), LogOpenError> {
    let exists = dir.join("records").try_exists()? && dir.join("dead-letters").try_exists()?;
    if exists { Ok(()) } else { Err(LogOpenError::Missing) }
}

fn record((offset, entry): (i64, Entry)) -> Record {
    let Entry { partition, append_time, key, value } = entry;
    Record {
        partition: partition.into(),
        offset,
        key: Some(key),
        value: Some(value),
        append_time,
        // Only the endpoint of this process appends here.
        latest_ts: Some(Timestamp::MAX),
        ..Record::default()
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedLog")
    }
}

#[cfg(test)]
mod tests;
