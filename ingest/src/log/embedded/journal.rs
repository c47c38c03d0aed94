//! A journal: records in partitions on one sequence of segments, made durable in groups.
//!
//! One thread writes. It takes what waits, writes it as one block, syncs, and answers all of it: concurrent appends share a
//! sync. Reading goes along the segments from the last committed place, and never past what is durable. After a failed sync
//! nothing more is promised: the journal is poisoned until the process restarts and looks at what the disk really holds.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use shared::{clock::Clock, disk::FreeSpace};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::{
    block::{self, Entry, SegmentHeader},
    disk::Disk,
    lock,
    segment::{self, Next, Place},
    writer::{Append, GROUP_BYTES, Writer},
};
use crate::log::{LogError, Offsets, OpenError, Partition, Position};

/// How many appends may wait for the writer: more are told to come again.
const QUEUE: usize = 1_024;

/// What a journal may use, and for how long it keeps what was consumed.
#[derive(Clone, Debug)]
pub(super) struct JournalOptions {
    pub(super) partitions: u32,
    pub(super) segment_bytes: u64,
    pub(super) retention_bytes: u64,
    pub(super) retention_ms: i64,
    pub(super) reserve_bytes: u64,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
}

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

/// What the writer and the readers both look at.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: JournalOptions,
    pub(super) space: FreeSpace,
    pub(super) state: Mutex<State>,
    /// Up to where the journal is durable.
    pub(super) durable: watch::Sender<Place>,
    pub(super) queued: AtomicUsize,
    pub(super) failed: Mutex<Option<String>>,
    /// Where the committed positions that were saved let reading begin. Held while they are being saved, so that the
    /// greatest is the last to be saved.
    saved: Mutex<Place>,
}

pub(super) struct State {
    pub(super) ends: Vec<i64>,
    committed: Vec<i64>,
    /// Where reading begins after a restart, once that is saved: no record before it is uncommitted.
    restart: Place,
    /// The blocks that were polled and are not wholly committed: where each begins, and the offsets behind it.
    outstanding: VecDeque<(Place, Vec<i64>)>,
}

/// A place to read from, with its file kept open.
#[derive(Default)]
pub(super) struct Cursor {
    place: Place,
    file: Option<Arc<File>>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Committed {
    offsets: Vec<i64>,
    restart: Place,
}

impl Journal {
    /// Opens the journal in `dir`, made if it is missing; a torn tail is cut off.
    pub(super) fn open(dir: &Path, options: JournalOptions, lock: Arc<File>) -> Result<Self, OpenError> {
        fs::create_dir_all(dir)?;
        let (file, place, ends) = recover(dir, &options)?;
        let committed = read_committed(dir)?.unwrap_or_else(|| Committed {
            offsets: vec![0; ends.len()],
            restart: Place {
                segment: segment::list(dir).map_or(0, |all| all.first().copied().unwrap_or(0)),
                position: 0,
            },
        });
        complete(dir, committed.restart.segment, place.segment)?;
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

    fn submit(&self, entries: Vec<Entry>) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let (done, durable) = oneshot::channel();
        let appends = self.appends.as_ref().ok_or_else(ended)?;
        appends.try_send(Append { entries, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LogError::Busy("too many appends are waiting".to_owned()),
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
                    usize::try_from(entry.partition).is_ok_and(|partition| *offset >= committed[partition])
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
            let first = segment::list(&self.shared.dir).map_err(unread)?.first().copied().unwrap_or(0);
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
        (0..).zip(pairs.map(|(committed, end)| Position { committed: *committed, end: *end })).collect()
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

impl Shared {
    pub(super) fn ready(&self) -> Result<(), LogError> {
        match lock(&self.failed).as_ref() {
            Some(cause) => Err(LogError::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Whole blocks from the cursor on, about `bytes` of them, never past `until`; moves the cursor behind them.
    async fn read(
        self: &Arc<Self>,
        cursor: &mut Cursor,
        until: Place,
        bytes: usize,
    ) -> Result<Vec<(Place, block::Block)>, LogError> {
        let shared = Arc::clone(self);
        let mut at = Cursor { place: cursor.place, file: cursor.file.clone() };
        let (at, blocks) = blocking(move || {
            let mut blocks = Vec::new();
            let mut size = 0;
            while at.place < until && size < bytes.max(1) {
                let Some(file) = at.file.clone() else {
                    at = shared.enter(at.place)?;
                    continue;
                };
                match segment::next(&file, at.place.position).map_err(unread)? {
                    Next::Block(block, end) => {
                        size += usize::try_from(end - at.place.position).unwrap_or(usize::MAX);
                        blocks.push((at.place, block));
                        at.place.position = end;
                    }
                    Next::End if at.place.segment < until.segment => {
                        at = Cursor {
                            place: Place { segment: at.place.segment + 1, position: 0 },
                            file: None,
                        };
                    }
                    Next::End | Next::Damaged => return Err(shared.damaged(at.place)),
                }
            }
            Ok((at, blocks))
        })
        .await?;
        *cursor = at;
        Ok(blocks)
    }

    /// Opens the segment of `place`, or the first that is left when that was removed.
    fn enter(&self, place: Place) -> Result<Cursor, LogError> {
        let (file, header) = match segment::open(&self.dir, place.segment) {
            Ok(opened) => opened,
            // Only what lies before the saved place is ever removed, and removing begins with the first.
            Err(error)
                if error.kind() == ErrorKind::NotFound && place.segment < lock(&self.saved).segment =>
            {
                return Ok(Cursor { place: Place { segment: place.segment + 1, position: 0 }, file: None });
            }
            Err(error) => return Err(unread(error)),
        };
        let Some((_, first)) = header else { return Err(self.damaged(place)) };
        let position = place.position.max(first);
        Ok(Cursor { place: Place { position, ..place }, file: Some(Arc::new(file)) })
    }

    fn damaged(&self, at: Place) -> LogError {
        let path = segment::path(&self.dir, at.segment);
        LogError::Corrupt(format!("{} is damaged at byte {}", path.display(), at.position))
    }

    fn commit(&self, offsets: &Offsets) -> Result<(), LogError> {
        let mut saved = lock(&self.saved);
        let committed = {
            let state = &mut *lock(&self.state);
            for (partition, offset) in offsets {
                let Ok(at) = usize::try_from(*partition) else { continue };
                if let (Some(committed), Some(end)) = (state.committed.get_mut(at), state.ends.get(at)) {
                    *committed = (*committed).max(*offset.min(end));
                }
            }
            while let Some((place, ends)) = state.outstanding.front() {
                state.restart = *place;
                if ends.iter().zip(&state.committed).any(|(end, committed)| end > committed) {
                    break;
                }
                state.outstanding.pop_front();
            }
            Committed { offsets: state.committed.clone(), restart: state.restart }
        };
        write_committed(&self.dir, &committed)
            .map_err(|error| LogError::Busy(format!("positions could not be saved: {error}")))?;
        *saved = committed.restart;
        Ok(())
    }

    /// Removes segments that are wholly consumed and too old or too many; `last` is the one that is written.
    pub(super) fn retain(&self, last: u64) -> io::Result<()> {
        let consumed = lock(&self.saved).segment;
        let numbers = segment::list(&self.dir)?;
        let mut total = 0;
        for number in &numbers {
            total += fs::metadata(segment::path(&self.dir, *number))?.len();
        }
        let horizon = self.options.clock.now() - self.options.retention_ms;
        for pair in numbers.windows(2) {
            let [number, following] = [pair[0], pair[1]];
            if number >= consumed || number >= last {
                break;
            }
            // What follows was begun when this one was full: everything in it is older.
            let (_, header) = segment::open(&self.dir, following)?;
            let old = header.is_some_and(|(header, _)| header.created < horizon);
            if !old && total <= self.options.retention_bytes {
                break;
            }
            let path = segment::path(&self.dir, number);
            total -= fs::metadata(&path)?.len();
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Finds the end of the journal: the last segment whose header is whole, behind its last whole block.
fn recover(dir: &Path, options: &JournalOptions) -> Result<(File, Place, Vec<i64>), OpenError> {
    let mut numbers = segment::list(dir)?;
    let mut is_last = true;
    while let Some(number) = numbers.pop() {
        let (file, header) = segment::open(dir, number)?;
        let Some((header, first)) = header else {
            // The process ended while it was making this segment: nothing in it was acknowledged.
            if segment::block_behind(&file, 0)? {
                return Err(OpenError::Corrupt(format!(
                    "{} has no header",
                    segment::path(dir, number).display()
                )));
            }
            fs::remove_file(segment::path(dir, number))?;
            is_last = false;
            continue;
        };
        let (mut position, mut ends) = (first, header.bases);
        loop {
            match segment::next(&file, position)? {
                Next::Block(block, end) => (position, ends) = (end, block.ends),
                Next::End => break,
                // The next segment was begun only when all of this one was acknowledged.
                Next::Damaged if !is_last || segment::block_behind(&file, position)? => {
                    let path = segment::path(dir, number);
                    return Err(OpenError::Corrupt(format!(
                        "{} is damaged at byte {position}",
                        path.display()
                    )));
                }
                Next::Damaged => {
                    tracing::warn!(
                        segment = number,
                        position,
                        "cutting off a torn tail that was never acknowledged"
                    );
                    file.set_len(position)?;
                    file.sync_all()?;
                    break;
                }
            }
        }
        return Ok((file, Place { segment: number, position }, ends));
    }
    let bases = vec![0; options.partitions.clamp(1, block::MAX_PARTITIONS) as usize];
    let header = SegmentHeader { created: options.clock.now(), bases: bases.clone() };
    let (file, position) = segment::create(dir, 0, &header)?;
    Ok((file, Place { segment: 0, position }, bases))
}

/// Whether every segment from the first to be read to the last is there.
fn complete(dir: &Path, first: u64, last: u64) -> Result<(), OpenError> {
    let numbers = segment::list(dir)?;
    match (first..=last).find(|number| numbers.binary_search(number).is_err()) {
        Some(missing) => {
            let path = segment::path(dir, missing);
            Err(OpenError::Corrupt(format!("{} is missing", path.display())))
        }
        None => Ok(()),
    }
}

/// Cuts an append into parts of which each fits into a block with whatever else is written with it.
fn groups(entries: Vec<Entry>) -> Result<Vec<Vec<Entry>>, LogError> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = GROUP_BYTES;
    for entry in entries {
        let size = block::entry_len(&entry);
        if size > block::MAX_ENTRY {
            return Err(LogError::Busy(format!("a record of {size} bytes is longer than it ever takes")));
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

fn committed_path(dir: &Path) -> PathBuf {
    dir.join("committed.json")
}

fn read_committed(dir: &Path) -> Result<Option<Committed>, OpenError> {
    match fs::read(committed_path(dir)) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| OpenError::Corrupt(format!("the committed positions cannot be read: {error}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write_committed(dir: &Path, committed: &Committed) -> io::Result<()> {
    let new = dir.join("committed.new");
    let file = File::create(&new)?;
    serde_json::to_writer(&file, committed)?;
    file.sync_all()?;
    fs::rename(new, committed_path(dir))?;
    segment::sync_dir(dir)
}

fn unread(error: io::Error) -> LogError {
    LogError::Corrupt(format!("it cannot be read: {error}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(lost) => Err(LogError::Busy(format!("a request to the log was lost: {lost}"))),
    }
}
