//! Moving the place where a log is polled from, at the start and before the first poll.

use std::io;

use shared::store::LogId;

use super::{
    EmbeddedLog, identity,
    journal::Journal,
    recovery::{self, Committed},
    segment::{self, Place},
    state::{EmbeddedCursor, JournalState, blocking},
};
use crate::log::{LogError, Offsets};

impl EmbeddedLog {
    /// The identity of the log.
    pub(crate) fn id(&self) -> LogId {
        *self.0.id.lock()
    }

    /// Gives the log a new identity: its records are not those that it had.
    pub(crate) async fn renew_id(&self) -> Result<LogId, LogError> {
        let log = self.clone();
        blocking(move || {
            let id = identity::create(&log.0.dir).map_err(unwritable)?;
            *log.0.id.lock() = id;
            Ok(id)
        })
        .await
    }
}

impl Journal {
    /// The offset of the oldest record that each partition still has, or its end.
    pub(crate) async fn lows(&self) -> Result<Offsets, LogError> {
        let shared = std::sync::Arc::clone(&self.shared);
        blocking(move || Ok((0..).zip(shared.lows().map_err(unwritable)?).collect())).await
    }

    /// A cursor before the last segment, and so many segments before it.
    pub(super) fn cursor_near_the_end(&self, segments: u64) -> Result<EmbeddedCursor, LogError> {
        let dir = &self.shared.dir;
        let numbers = segment::list(dir).map_err(unwritable)?;
        let last = numbers.last().copied().unwrap_or(0);
        let first = numbers.into_iter().find(|number| number + segments >= last).unwrap_or(0);
        Ok(EmbeddedCursor { place: Place { segment: first, position: 0 }, file: None })
    }

    /// Commits `offsets`, which may be before the committed ones: the next poll begins there.
    pub(crate) async fn restart_at(&self, offsets: &Offsets) -> Result<(), LogError> {
        let mut reading = self.reading.lock().await;
        let (shared, offsets) = (std::sync::Arc::clone(&self.shared), offsets.clone());
        let place = blocking(move || {
            let mut saved = shared.saved.lock();
            let mut known = shared.offsets.lock();
            let mut committed = known.committed.clone();
            for (partition, offset) in &offsets {
                let at = usize::try_from(*partition).ok().and_then(|at| committed.get_mut(at));
                at.into_iter().for_each(|at| *at = *offset);
            }
            let goes_back = committed.iter().zip(&known.committed).any(|(new, old)| new < old);
            let restart = if goes_back {
                shared.place_before(&committed).map_err(unwritable)?
            } else {
                known.restart
            };
            let once_since = known.once_since;
            let state = Committed { offsets: committed.clone(), restart, once_since };
            recovery::write_committed(&shared.dir, &state).map_err(unwritable)?;
            known.outstanding.clear();
            (known.committed, known.restart, *saved) = (committed, restart, restart);
            Ok(restart)
        })
        .await?;
        *reading = EmbeddedCursor { place, file: None };
        Ok(())
    }
}

impl JournalState {
    fn lows(&self) -> io::Result<Vec<i64>> {
        let first = segment::list(&self.dir)?.first().copied().unwrap_or(0);
        let (_, header) = segment::open(&self.dir, first)?;
        Ok(header.map(|(header, _)| header.bases).unwrap_or_default())
    }

    /// The beginning of the last segment in which no partition begins after its offset, or else of
    /// the first segment.
    fn place_before(&self, offsets: &[i64]) -> io::Result<Place> {
        let numbers = segment::list(&self.dir)?;
        let mut found = numbers.first().copied().unwrap_or(0);
        for number in numbers {
            let (_, header) = segment::open(&self.dir, number)?;
            let Some((header, _)) = header else { break };
            if header.bases.iter().zip(offsets).any(|(base, offset)| base > offset) {
                break;
            }
            found = number;
        }
        Ok(Place { segment: found, position: 0 })
    }
}

fn unwritable(error: io::Error) -> LogError {
    LogError::Busy(format!("the position of the consumer could not be moved: {error}"))
}
