//! The embedded log: journals of records and of dead letters, in a directory that one process owns.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shared::{clock::Clock, event::RejectionCode, store::LogId, timestamp::Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use self::{block::Entry, disk::Disk, journal::Journal, options::JournalOptions};
pub use self::{options::EmbeddedLogOptions, state::EmbeddedCursor};
use super::{
    DeadLetter, DeadLetterCode, LogError, LogOpenError, NewRecord, Partition, Position, Record,
    Redriven, murmur2,
};

mod block;
mod disk;
mod identity;
mod journal;
mod options;
mod read;
mod recovery;
mod restart;
mod segment;
mod state;
mod writer;

/// The bytes of dead letters that one step of a redrive reads.
const REDRIVE_BYTES: usize = 1 << 20;

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

/// The first line of a dead letter's value. The record's own value follows it unchanged.
#[derive(Serialize, Deserialize)]
struct LetterHead {
    code: DeadLetterCode,
    partition: Partition,
    offset: i64,
    append_time_ms: i64,
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
        Self::open_on(dir, options, clock, Disk::default())
    }

    fn open_on(
        dir: &Path,
        options: EmbeddedLogOptions,
        clock: Clock,
        disk: Disk,
    ) -> Result<Self, LogOpenError> {
        fs::create_dir_all(dir)?;
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
        let (dir, id) = (dir.to_owned(), Mutex::new(identity::read_or_create(dir)?));
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
        let now = self.0.clock.now();
        let entry = |DeadLetter { code, record }: DeadLetter| {
            let (partition, offset) = (record.partition, record.offset);
            let append_time_ms = record.append_time.millis();
            let mut value =
                serde_json::to_vec(&LetterHead { code, partition, offset, append_time_ms })
                    .map_err(|error| LogError::Busy(error.to_string()))?;
            value.push(b'\n');
            value.extend_from_slice(&record.value.unwrap_or_default());
            let key = record.key.unwrap_or_default();
            Ok::<_, LogError>(Entry { partition: 0, append_time: now, key, value: value.into() })
        };
        self.0.letters.append(letters.into_iter().map(entry).collect::<Result<_, _>>()?).await
    }

    pub(super) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        // A redrive that failed may have polled letters without committing them.
        self.0.letters.rewind().await;
        let mut done = Redriven::default();
        let Position { committed: mut next, end } = self.0.letters.position(0);
        while next < end {
            let letters = self.0.letters.poll(REDRIVE_BYTES).await?;
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            // Letters from `end` on were added since, perhaps by this redrive.
            for (offset, entry) in letters.into_iter().filter(|(offset, _)| *offset < end) {
                next = offset + 1;
                let letter = letter(entry).ok_or_else(|| {
                    LogError::Corrupt(format!("dead letter {offset} cannot be decoded"))
                })?;
                done.looked_at += 1;
                if wanted(letter.code) {
                    done.appended += 1;
                    let judged_anew =
                        letter.code == DeadLetterCode::Rejected(RejectionCode::Future);
                    let DeadLetter { record, .. } = letter;
                    back.push(NewRecord {
                        key: record.key,
                        value: record.value.unwrap_or_default(),
                        append_time: (!judged_anew).then_some(record.append_time),
                        ..NewRecord::default()
                    });
                } else {
                    kept.push(letter);
                }
            }
            if !back.is_empty() {
                self.append(back).await?;
            }
            // Unwanted letters are appended again after those not read yet, so that one committed
            // offset separates the redriven letters from the others.
            if !kept.is_empty() {
                self.dead_letter(kept).await?;
            }
            self.0.letters.commit([(0, next)].into()).await?;
            progress(done);
        }
        Ok(done)
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

fn letter(entry: Entry) -> Option<DeadLetter> {
    let line = entry.value.iter().position(|byte| *byte == b'\n')?;
    let head: LetterHead = serde_json::from_slice(&entry.value[..line]).ok()?;
    let value: Bytes = entry.value.slice(line + 1..);
    let append_time = Timestamp::from_millis(head.append_time_ms)?;
    let (partition, offset) = (head.partition, head.offset);
    let (key, value) = (Some(entry.key), Some(value));
    Some(DeadLetter {
        code: head.code,
        record: Record { partition, offset, key, value, append_time, ..Record::default() },
    })
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedLog")
    }
}

#[cfg(test)]
mod tests;
