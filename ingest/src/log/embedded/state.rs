//! The state that the writer and the readers of a journal share.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
};

use parking_lot::Mutex;
use shared::disk::FreeSpace;
use tokio::sync::watch;

use super::{
    options::JournalOptions,
    segment::{self, Place},
};
use crate::log::LogError;

/// The state of one journal.
pub(super) struct JournalState {
    pub(super) dir: PathBuf,
    pub(super) options: JournalOptions,
    pub(super) space: FreeSpace,
    pub(super) offsets: Mutex<JournalOffsets>,
    /// The place up to which the journal is durable.
    pub(super) durable: watch::Sender<Place>,
    pub(super) queued: AtomicUsize,
    /// Why the journal is poisoned, if it is.
    pub(super) failed: Mutex<Option<String>>,
    /// The restart place on disk. Locked during a write, so that the furthest commit is the last.
    pub(super) saved: Mutex<Place>,
}

pub(super) struct JournalOffsets {
    pub(super) ends: Vec<i64>,
    pub(super) committed: Vec<i64>,
    /// Where reading begins after a restart: every record before this place is committed.
    pub(super) restart: Place,
    /// Committed beside the offsets: see [`Committed`](super::recovery::Committed).
    pub(super) once_since: Option<i64>,
    /// The polled blocks with uncommitted records: where each begins, and the offsets after it.
    pub(super) outstanding: VecDeque<(Place, Vec<i64>)>,
}

/// The position of a reader, with the open file of its segment.
#[derive(Default)]
pub struct EmbeddedCursor {
    pub(super) place: Place,
    pub(super) file: Option<Arc<File>>,
}

impl JournalState {
    pub(super) fn ready(&self) -> Result<(), LogError> {
        match self.failed.lock().as_ref() {
            Some(cause) => Err(LogError::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Removes consumed segments that are too old or too many. `last` is the one being written.
    pub(super) fn retain(&self, last: u64) -> io::Result<()> {
        let consumed = self.saved.lock().segment;
        let numbers = segment::list(&self.dir)?;
        let mut total = 0;
        for number in &numbers {
            total += fs::metadata(segment::path(&self.dir, *number))?.len();
        }
        let horizon = self.options.clock.now() - self.options.log.retention_ms;
        for pair in numbers.windows(2) {
            let [number, following] = [pair[0], pair[1]];
            if number >= consumed || number >= last {
                break;
            }
            // The following segment was created after every record of this one.
            let (_, header) = segment::open(&self.dir, following)?;
            let old = header.is_some_and(|(header, _)| header.created < horizon);
            if !old && total <= self.options.log.retention_bytes {
                break;
            }
            let path = segment::path(&self.dir, number);
            total -= fs::metadata(&path)?.len();
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Runs `work`, which blocks on the disk, outside the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(lost) => Err(LogError::Busy(format!("a background task of the log failed: {lost}"))),
    }
}
