//! A journal: records in partitions on one sequence of segments, made durable in groups.
//!
//! One thread writes. It takes what waits, writes it as one block, syncs, and answers all of it: concurrent appends share a
//! sync. Reading goes along the segments from the last committed place, and never past what is durable. After a failed sync
//! nothing more is promised: the journal is poisoned until the process restarts and looks at what the disk really holds.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use shared::disk::FreeSpace;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::{
    JournalOptions,
    block::{self, Entry},
    lock,
    recovery::{self, Committed},
    segment::{self, Place},
    state::{Cursor, Shared, State, blocking, unread},
    writer::{Append, GROUP_BYTES, Writer},
};
use crate::log::{LogError, Offsets, OpenError, Partition, Position};

/// How many appends may wait for the writer: more are told to come again.
pub(super) const QUEUE: usize = 1_024;

/// Records in partitions, in one directory.
pub(super) struct Journal {
    shared: Arc<Shared>,
    /// Gone only when the journal is being dropped.
    appends: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
    reading: AsyncMutex<Cursor>,
    /// The lock of the data directory, held for as long as anything may still be written into it.
    lock: Arc<File>,
}

impl Journal {
    /// Opens the journal in `dir`, made if it is missing; a torn tail is cut off.
    pub(super) fn open(
        dir: &Path,
        options: JournalOptions,
        lock: Arc<File>,
    ) -> Result<Self, OpenError> {
        fs::create_dir_all(dir)?;
        let (file, place, ends) = recovery::recover(dir, &options)?;
        let committed = recovery::read_committed(dir)?.unwrap_or_else(|| Committed {
            offsets: vec![0; ends.len()],
            restart: Place {
                segment: segment::list(dir).map_or(0, |all| all.first().copied().unwrap_or(0)),
                position: 0,
            },
        });
        recovery::complete(dir, committed.restart.segment, place.segment)?;
        if committed.offsets.len() != ends.len()
            || committed.offsets.iter().zip(&ends).any(|(at, end)| at > end)
        {
            return Err(OpenError::Corrupt(format!(
                "positions {:?} are committed, but the log ends at {ends:?}",
                committed.offsets
            )));
        }
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            space: FreeSpace::of(dir, options.reserve_bytes),
            state: Mutex::new(State {
                ends: ends.clone(),
                committed: committed.offsets,
                restart: committed.restart,
                outstanding: VecDeque::new(),
            }),
            durable: watch::Sender::new(place),
            queued: AtomicUsize::new(0),
            failed: Mutex::default(),
            saved: Mutex::new(committed.restart),
            options,
        });
        let (appends, waiting) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), file, place, ends);
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        let writer = Some(thread.spawn(move || writer.run(waiting))?);
        let reading = AsyncMutex::new(Cursor { place: committed.restart, file: None });
        Ok(Self { shared, appends: Some(appends), writer, reading, lock })
    }

    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        self.shared.ready()?;
        let _queued = Queued::new(&self.shared.queued, entries.len());
        let waiting = groups(entries)?.into_iter().map(|entries| self.submit(entries));
        for durable in waiting.collect::<Result<Vec<_>, _>>()? {
            durable.await.unwrap_or_else(|_| Err(ended()))?;
        }
        Ok(())
    }

    fn submit(
        &self,
        entries: Vec<Entry>,
    ) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let (done, durable) = oneshot::channel();
        let appends = self.appends.as_ref().ok_or_else(ended)?;
        appends.try_send(Append { entries, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                LogError::Busy("too many appends are waiting".to_owned())
            }
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        Ok(durable)
    }

    /// The next uncommitted records, of about `bytes` at most; waits for them.
    pub(super) async fn poll(&self, bytes: usize) -> Result<Vec<(i64, Entry)>, LogError> {
        let mut reading = self.reading.lock().await;
        let mut durable = self.shared.durable.subscribe();
        loop {
            // The sender lives as long as `self`.
            let until = match durable.wait_for(|durable| *durable > reading.place).await {
                Ok(until) => *until,
                Err(_) => return Err(ended()),
            };
            let blocks = self.shared.read(&mut reading, until, bytes).await?;
            let mut state = lock(&self.shared.state);
            let mut records = Vec::new();
            for (place, block) in blocks {
                state.outstanding.push_back((place, block.ends));
                let committed = &state.committed;
                let is_new = |(offset, entry): &(i64, Entry)| {
                    usize::try_from(entry.partition)
                        .is_ok_and(|partition| *offset >= committed[partition])
                };
                records.extend(block.records.into_iter().filter(is_new));
            }
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// Polls again from the first uncommitted record on.
    pub(super) async fn rewind(&self) {
        let mut reading = self.reading.lock().await;
        let mut state = lock(&self.shared.state);
        state.outstanding.clear();
        *reading = Cursor { place: state.restart, file: None };
    }

    /// The next records behind `cursor` whatever was committed; none at the end of what is durable.
    pub(super) async fn read(
        &self,
        cursor: &mut Cursor,
        bytes: usize,
    ) -> Result<Vec<(i64, Entry)>, LogError> {
        if cursor.place == Place::default() {
            let first =
                segment::list(&self.shared.dir).map_err(unread)?.first().copied().unwrap_or(0);
            cursor.place = Place { segment: first, position: 0 };
        }
        let until = *self.shared.durable.borrow();
        let blocks = self.shared.read(cursor, until, bytes).await?;
        Ok(blocks.into_iter().flat_map(|(_, block)| block.records).collect())
    }

    /// Makes the offsets durable; they only ever go forward.
    pub(super) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        let (shared, lock) = (Arc::clone(&self.shared), Arc::clone(&self.lock));
        blocking(move || {
            let outcome = shared.commit(&offsets);
            drop(lock);
            outcome
        })
        .await
    }

    pub(super) fn positions(&self) -> BTreeMap<Partition, Position> {
        let state = lock(&self.shared.state);
        let pairs = state.committed.iter().zip(&state.ends);
        (0..)
            .zip(pairs.map(|(committed, end)| Position { committed: *committed, end: *end }))
            .collect()
    }

    /// Where `partition` stands; at nothing when there is no such partition.
    pub(super) fn position(&self, partition: usize) -> Position {
        let state = lock(&self.shared.state);
        let at = |offsets: &[i64]| offsets.get(partition).copied().unwrap_or(0);
        Position { committed: at(&state.committed), end: at(&state.ends) }
    }

    pub(super) fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Relaxed)
    }

    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.shared.ready()?;
        self.shared.space.check().map_err(|error| LogError::Busy(error.to_string()))
    }
}

/// The directory is free for the next owner when this one has gone: what the writer has taken it finishes before.
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

/// Counts records as waiting until whoever waits for them has an answer, or has gone.
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

/// Cuts an append into parts of which each fits into a block with whatever else is written with it.
fn groups(entries: Vec<Entry>) -> Result<Vec<Vec<Entry>>, LogError> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = GROUP_BYTES;
    for entry in entries {
        let size = block::entry_len(&entry);
        if size > block::MAX_ENTRY {
            return Err(LogError::Busy(format!(
                "a record of {size} bytes is longer than it ever takes"
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

fn ended() -> LogError {
    LogError::Poisoned("its writer has ended".to_owned())
}
