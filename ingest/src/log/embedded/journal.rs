//! A journal: partitioned records in a sequence of segment files, made durable in groups.
//!
//! One thread writes. It takes the queued appends, writes them as one block, syncs, and
//! acknowledges all of them: concurrent appends share a sync. After a failed sync the journal is
//! poisoned: it promises nothing more until a restart has read what the disk really holds.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use shared::disk::FreeSpace;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::{
    block::{self, Entry},
    options::JournalOptions,
    recovery::{self, Committed},
    segment::{self, Place},
    state::{EmbeddedCursor, JournalOffsets, JournalState, blocking},
    writer::{Append, GROUP_BYTES, Writer},
};
use crate::log::{LogError, LogOpenError, Offsets, Partition, Position};

/// The number of appends that may wait for the writer. Further ones are refused.
pub(super) const QUEUE: usize = 1_024;

/// Partitioned records in one directory.
pub(crate) struct Journal {
    pub(super) shared: Arc<JournalState>,
    pub(super) reading: AsyncMutex<EmbeddedCursor>,
    /// `None` only while the journal is dropped.
    appends: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
    /// The lock of the data directory, held as long as anything may be written into it.
    lock: Arc<File>,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if it is missing; cuts off a torn tail.
    pub(super) fn open(
        dir: &Path,
        options: JournalOptions,
        lock: Arc<File>,
    ) -> Result<Self, LogOpenError> {
        fs::create_dir_all(dir)?;
        let (file, place, ends) = recovery::recover(dir, &options)?;
        let committed = match recovery::read_committed(dir)? {
            Some(committed) => committed,
            None => Committed {
                offsets: vec![0; ends.len()],
                restart: Place {
                    segment: segment::list(dir)?.first().copied().unwrap_or(0),
                    position: 0,
                },
                once_since: None,
            },
        };
        recovery::check_complete(dir, committed.restart.segment, place.segment)?;
        if committed.offsets.len() != ends.len()
            || committed.offsets.iter().zip(&ends).any(|(at, end)| at > end)
        {
            return Err(LogOpenError::Corrupt(format!(
                "{}: offsets {:?} are committed, but the log ends at {ends:?}",
                dir.display(),
                committed.offsets
            )));
        }
        let shared = Arc::new(JournalState {
            dir: dir.to_owned(),
            space: FreeSpace::of(dir, options.log.reserve_bytes),
            offsets: Mutex::new(JournalOffsets {
                ends: ends.clone(),
                committed: committed.offsets,
                restart: committed.restart,
                once_since: committed.once_since,
                outstanding: VecDeque::new(),
            }),
            durable: watch::Sender::new(place),
            queued: AtomicUsize::new(0),
            failed: Mutex::default(),
            saved: Mutex::new(committed.restart),
            options,
        });
        let (appends, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), file, place, ends);
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        let writer = Some(thread.spawn(move || writer.run(queue))?);
        let reading = AsyncMutex::new(EmbeddedCursor { place: committed.restart, file: None });
        Ok(Self { shared, reading, appends: Some(appends), writer, lock })
    }

    /// Appends entries; returns when every one of them is durable.
    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        self.shared.ready()?;
        let _queued = Queued::new(&self.shared.queued, entries.len());
        let submitted = groups(entries)?.into_iter().map(|entries| self.submit(entries));
        for durable in submitted.collect::<Result<Vec<_>, _>>()? {
            durable.await.unwrap_or_else(|_| Err(stopped()))?;
        }
        Ok(())
    }

    fn submit(
        &self,
        entries: Vec<Entry>,
    ) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let (done, durable) = oneshot::channel();
        let appends = self.appends.as_ref().ok_or_else(stopped)?;
        appends.try_send(Append { entries, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                LogError::Busy(format!("{QUEUE} appends are queued already"))
            }
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        Ok(durable)
    }

    /// Makes committed offsets durable. They only move forward.
    pub(crate) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        let (shared, lock) = (Arc::clone(&self.shared), Arc::clone(&self.lock));
        blocking(move || {
            let mut saved = shared.saved.lock();
            let committed = shared.offsets.lock().advance(&offsets);
            recovery::write_committed(&shared.dir, &committed).map_err(|error| {
                LogError::Busy(format!("the committed offsets could not be saved: {error}"))
            })?;
            *saved = committed.restart;
            drop(lock);
            Ok(())
        })
        .await
    }

    pub(crate) fn positions(&self) -> BTreeMap<Partition, Position> {
        let offsets = self.shared.offsets.lock();
        let pairs = offsets.committed.iter().zip(&offsets.ends);
        (0..)
            .zip(pairs.map(|(committed, end)| Position { committed: *committed, end: *end }))
            .collect()
    }

    /// The position of `partition`; 0 if the journal has no such partition.
    pub(super) fn position(&self, partition: usize) -> Position {
        let offsets = self.shared.offsets.lock();
        let at = |offsets: &[i64]| offsets.get(partition).copied().unwrap_or(0);
        Position { committed: at(&offsets.committed), end: at(&offsets.ends) }
    }

    pub(crate) fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Relaxed)
    }

    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.shared.ready()?;
        self.shared.space.check().map_err(|error| LogError::Busy(error.to_string()))
    }
}

/// The writer finishes what it has taken before the directory is free for its next owner.
impl Drop for Journal {
    fn drop(&mut self) {
        self.appends = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}

impl JournalOffsets {
    /// Commits `offsets`, and returns what a restart needs to know.
    fn advance(&mut self, offsets: &Offsets) -> Committed {
        for (partition, offset) in offsets {
            let Ok(at) = usize::try_from(*partition) else { continue };
            if let (Some(committed), Some(end)) = (self.committed.get_mut(at), self.ends.get(at)) {
                *committed = (*committed).max(*offset.min(end));
            }
        }
        while let Some((place, ends)) = self.outstanding.front() {
            self.restart = *place;
            if ends.iter().zip(&self.committed).any(|(end, committed)| end > committed) {
                break;
            }
            self.outstanding.pop_front();
        }
        let (offsets, once_since) = (self.committed.clone(), self.once_since);
        Committed { offsets, restart: self.restart, once_since }
    }
}

/// Counts records as queued until the append returns, or its future is dropped.
struct Queued<'a>(&'a AtomicUsize, usize);

impl<'a> Queued<'a> {
    fn new(queued: &'a AtomicUsize, count: usize) -> Self {
        queued.fetch_add(count, Ordering::Relaxed);
        Self(queued, count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Splits an append into parts that fit into a block together with the rest of a group.
fn groups(entries: Vec<Entry>) -> Result<Vec<Vec<Entry>>, LogError> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = GROUP_BYTES;
    for entry in entries {
        let size = block::entry_len(&entry);
        if size > block::MAX_ENTRY {
            return Err(LogError::Busy(format!(
                "a record of {size} bytes exceeds the limit of {} bytes",
                block::MAX_ENTRY
            )));
        }
        match groups.last_mut() {
            Some(group) if bytes + size <= GROUP_BYTES => group.push(entry),
            _ => {
                groups.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    Ok(groups)
}

fn stopped() -> LogError {
    LogError::Poisoned("the log's writer has stopped".to_owned())
}
