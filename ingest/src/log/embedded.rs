//! The log in this process: a journal of records and a journal of dead letters in a data directory, owned by one process.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, TryLockError},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{clock::Clock, timestamp::Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use self::{block::Entry, disk::Disk, journal::Journal, state::Cursor};
use super::{
    DeadLetter, DeadLetterCode, LogError, NewRecord, Offsets, OpenError, Partition, Position,
    Record, Redriven, murmur2,
};

mod block;
mod disk;
mod journal;
mod recovery;
mod segment;
mod state;
mod writer;

/// How many bytes of dead letters one step of a redrive takes.
const REDRIVE_BYTES: usize = 1 << 20;

/// The embedded log. Clones share it.
#[derive(Clone)]
pub struct EmbeddedLog(Arc<Inner>);

/// What the embedded log may use, and for how long it keeps what was consumed.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedLogOptions {
    /// How many partitions a new log gets, at most 64. One that exists keeps its own.
    pub partitions: u32,
    /// A segment is closed when it is longer than this, in bytes.
    pub segment_bytes: u64,
    /// Consumed segments are removed when the log is longer than this, in bytes.
    pub retention_bytes: u64,
    /// Consumed segments are removed when they are older than this, in milliseconds.
    pub retention_ms: i64,
    /// Room that is to stay free on the disk, in bytes: with less, appends are refused.
    pub reserve_bytes: u64,
}

/// What a journal may use, and for how long it keeps what was consumed.
#[derive(Clone, Debug)]
struct JournalOptions {
    partitions: u32,
    segment_bytes: u64,
    retention_bytes: u64,
    retention_ms: i64,
    reserve_bytes: u64,
    clock: Clock,
    disk: Disk,
}

struct Inner {
    records: Journal,
    letters: Journal,
    partitions: u32,
    clock: Clock,
    /// One redrive at a time.
    redriving: AsyncMutex<()>,
}

/// The first line of a dead letter's value; the record's own value stands behind it, byte for byte.
#[derive(Serialize, Deserialize)]
struct Cause {
    code: DeadLetterCode,
    partition: Partition,
    offset: i64,
    append_time_ms: i64,
}

/// Where a reader of the whole log stands.
#[derive(Default)]
pub struct EmbeddedCursor(Cursor);

impl Default for EmbeddedLogOptions {
    fn default() -> Self {
        Self {
            partitions: 6,
            segment_bytes: 64 << 20,
            retention_bytes: 16 << 30,
            retention_ms: 7 * shared::timestamp::DAY,
            reserve_bytes: 256 << 20,
        }
    }
}

impl EmbeddedLog {
    /// Opens the log in `dir`, which is created when it is missing. `clock` stamps what is appended.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, or it is damaged where it was acknowledged. A torn tail is no error: it is
    /// cut off.
    pub fn open(dir: &Path, options: EmbeddedLogOptions, clock: Clock) -> Result<Self, OpenError> {
        Self::open_on(dir, options, clock, Disk::default())
    }

    fn open_on(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
        disk: Disk,
    ) -> Result<Self, OpenError> {
        fs::create_dir_all(dir)?;
        let lock = File::create(dir.join("lock"))?;
        lock.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => OpenError::Locked,
            TryLockError::Error(error) => error.into(),
        })?;
        let lock = Arc::new(lock);
        let journal = |name: &str, partitions, retention_ms| {
            let options = JournalOptions {
                partitions,
                segment_bytes: options.segment_bytes,
                retention_bytes: options.retention_bytes,
                retention_ms,
                reserve_bytes: options.reserve_bytes,
                clock,
                disk: disk.clone(),
            };
            Journal::open(&dir.join(name), options, Arc::clone(&lock))
        };
        let records = journal("records", options.partitions, options.retention_ms)?;
        let letters = journal("dead-letters", 1, options.retention_ms)?;
        let partitions = u32::try_from(records.positions().len()).unwrap_or(1);
        Ok(Self(Arc::new(Inner {
            records,
            letters,
            partitions,
            clock,
            redriving: AsyncMutex::default(),
        })))
    }

    pub(super) async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let now = self.0.clock.now();
        let entries = records.into_iter().map(|record| {
            let key = record.key.unwrap_or_default();
            Entry {
                partition: murmur2::partition(&key, self.0.partitions).cast_signed(),
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
        Ok(self.0.records.read(&mut cursor.0, bytes).await?.into_iter().map(record).collect())
    }

    pub(super) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        self.0.records.commit(offsets).await
    }

    pub(super) async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), LogError> {
        let now = self.0.clock.now();
        let entry = |DeadLetter { code, record }: DeadLetter| {
            let (partition, offset) = (record.partition, record.offset);
            let cause =
                Cause { code, partition, offset, append_time_ms: record.append_time.millis() };
            let mut value =
                serde_json::to_vec(&cause).map_err(|error| LogError::Busy(error.to_string()))?;
            value.push(b'\n');
            value.extend_from_slice(&record.value.unwrap_or_default());
            let key = record.key.unwrap_or_default();
            Ok(Entry { partition: 0, append_time: now, key, value: value.into() })
        };
        self.0.letters.append(letters.into_iter().map(entry).collect::<Result<_, _>>()?).await
    }

    pub(super) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        // One that failed or was given up may have polled what it did not commit.
        self.0.letters.rewind().await;
        let mut done = Redriven::default();
        let Position { committed: mut behind, end } = self.0.letters.position(0);
        while behind < end {
            let letters = self.0.letters.poll(REDRIVE_BYTES).await?;
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            // What comes from `end` on was added since, perhaps by this very redrive.
            for (offset, entry) in letters.into_iter().filter(|(offset, _)| *offset < end) {
                behind = offset + 1;
                let letter = letter(entry).ok_or_else(|| {
                    LogError::Corrupt(format!("dead letter {offset} cannot be read"))
                })?;
                done.looked_at += 1;
                if wanted(letter.code) {
                    let DeadLetter { record, .. } = letter;
                    done.appended += 1;
                    back.push(NewRecord {
                        key: record.key,
                        value: record.value.unwrap_or_default(),
                        headers: Vec::new(),
                        append_time: Some(record.append_time),
                    });
                } else {
                    kept.push(letter);
                }
            }
            if !back.is_empty() {
                self.append(back).await?;
            }
            // What is not wanted moves behind those not looked at yet, so that one committed offset says what is left.
            if !kept.is_empty() {
                self.dead_letter(kept).await?;
            }
            self.0.letters.commit([(0, behind)].into()).await?;
            progress(done);
        }
        Ok(done)
    }

    pub(super) fn positions(&self) -> BTreeMap<Partition, Position> {
        self.0.records.positions()
    }

    pub(super) fn dead_letters(&self) -> u64 {
        let Position { committed, end } = self.0.letters.position(0);
        u64::try_from(end - committed).unwrap_or(0)
    }

    pub(super) fn queued(&self) -> usize {
        self.0.records.queued()
    }

    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.0.records.ready()?;
        self.0.letters.ready()
    }
}

fn record((offset, entry): (i64, Entry)) -> Record {
    let Entry { partition, append_time, key, value } = entry;
    Record {
        partition,
        offset,
        key: Some(key),
        value: Some(value),
        headers: Vec::new(),
        append_time,
    }
}

fn letter(entry: Entry) -> Option<DeadLetter> {
    let line = entry.value.iter().position(|byte| *byte == b'\n')?;
    let cause: Cause = serde_json::from_slice(&entry.value[..line]).ok()?;
    let value: Bytes = entry.value.slice(line + 1..);
    let append_time = Timestamp::from_millis(cause.append_time_ms)?;
    let (partition, offset) = (cause.partition, cause.offset);
    let (key, value, headers) = (Some(entry.key), Some(value), Vec::new());
    Some(DeadLetter {
        code: cause.code,
        record: Record { partition, offset, key, value, headers, append_time },
    })
}

/// What the locks guard is changed in single steps, so a holder that panicked leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedLog")
    }
}

#[cfg(test)]
mod tests;
