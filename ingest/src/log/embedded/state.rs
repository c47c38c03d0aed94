//! What the writer and the readers of a journal share: where it ends, what is committed, and how blocks are read.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use shared::disk::FreeSpace;
use tokio::sync::watch;

use super::{
    JournalOptions, block, lock,
    recovery::{self, Committed},
    segment::{self, Next, Place},
};
use crate::log::{LogError, Offsets};

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
    pub(super) saved: Mutex<Place>,
}

pub(super) struct State {
    pub(super) ends: Vec<i64>,
    pub(super) committed: Vec<i64>,
    /// Where reading begins after a restart, once that is saved: no record before it is uncommitted.
    pub(super) restart: Place,
    /// The blocks that were polled and are not wholly committed: where each begins, and the offsets behind it.
    pub(super) outstanding: VecDeque<(Place, Vec<i64>)>,
}

/// A place to read from, with its file kept open.
#[derive(Default)]
pub(super) struct Cursor {
    pub(super) place: Place,
    pub(super) file: Option<Arc<File>>,
}

impl Shared {
    pub(super) fn ready(&self) -> Result<(), LogError> {
        match lock(&self.failed).as_ref() {
            Some(cause) => Err(LogError::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Whole blocks from the cursor on, about `bytes` of them, never past `until`; moves the cursor behind them.
    pub(super) async fn read(
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
                if error.kind() == ErrorKind::NotFound
                    && place.segment < lock(&self.saved).segment =>
            {
                return Ok(Cursor {
                    place: Place { segment: place.segment + 1, position: 0 },
                    file: None,
                });
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

    pub(super) fn commit(&self, offsets: &Offsets) -> Result<(), LogError> {
        let mut saved = lock(&self.saved);
        let committed = {
            let state = &mut *lock(&self.state);
            for (partition, offset) in offsets {
                let Ok(at) = usize::try_from(*partition) else { continue };
                if let (Some(committed), Some(end)) =
                    (state.committed.get_mut(at), state.ends.get(at))
                {
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
        recovery::write_committed(&self.dir, &committed)
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

pub(super) fn unread(error: io::Error) -> LogError {
    LogError::Corrupt(format!("it cannot be read: {error}"))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(lost) => Err(LogError::Busy(format!("a request to the log was lost: {lost}"))),
    }
}
