//! Reading a journal: polls, and reads at a cursor. Never past the durable end.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use super::{
    block::{Block, Entry},
    journal::Journal,
    segment::{self, Next, Place},
    state::{EmbeddedCursor, JournalState, blocking},
};
use crate::log::LogError;

impl Journal {
    /// Returns the next uncommitted records, about `bytes` at most; waits for the first.
    pub(super) async fn poll(&self, bytes: usize) -> Result<Vec<(i64, Entry)>, LogError> {
        let mut reading = self.reading.lock().await;
        let mut durable = self.shared.durable.subscribe();
        loop {
            // The sender lives as long as `self`.
            let until = match durable.wait_for(|durable| *durable > reading.place).await {
                Ok(until) => *until,
                Err(_) => return Err(LogError::Poisoned("the log's writer has stopped".into())),
            };
            let blocks = self.shared.read(&mut reading, until, bytes).await?;
            let mut offsets = self.shared.offsets.lock();
            let mut records = Vec::new();
            for (place, block) in blocks {
                offsets.outstanding.push_back((place, block.ends));
                let committed = &offsets.committed;
                let is_new = |(offset, entry): &(i64, Entry)| {
                    *offset >= committed[usize::from(entry.partition)]
                };
                records.extend(block.records.into_iter().filter(is_new));
            }
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// Lets the next poll begin at the first uncommitted record again.
    pub(super) async fn rewind(&self) {
        let mut reading = self.reading.lock().await;
        let mut offsets = self.shared.offsets.lock();
        offsets.outstanding.clear();
        *reading = EmbeddedCursor { place: offsets.restart, file: None };
    }

    /// Returns the records after `cursor`, committed or not; none at the durable end.
    pub(super) async fn read(
        &self,
        cursor: &mut EmbeddedCursor,
        bytes: usize,
    ) -> Result<Vec<(i64, Entry)>, LogError> {
        if cursor.place == Place::default() {
            let first =
                segment::list(&self.shared.dir).map_err(unreadable)?.first().copied().unwrap_or(0);
            cursor.place = Place { segment: first, position: 0 };
        }
        let until = *self.shared.durable.borrow();
        let blocks = self.shared.read(cursor, until, bytes).await?;
        Ok(blocks.into_iter().flat_map(|(_, block)| block.records).collect())
    }
}

impl JournalState {
    /// Reads complete blocks after the cursor, about `bytes` of them, and never past `until`.
    async fn read(
        self: &Arc<Self>,
        cursor: &mut EmbeddedCursor,
        until: Place,
        bytes: usize,
    ) -> Result<Vec<(Place, Block)>, LogError> {
        let shared = Arc::clone(self);
        let mut at = EmbeddedCursor { place: cursor.place, file: cursor.file.clone() };
        let (at, blocks) = blocking(move || {
            let mut blocks = Vec::new();
            let mut size = 0;
            while at.place < until && size < bytes.max(1) {
                let Some(file) = at.file.clone() else {
                    at = shared.open(at.place)?;
                    continue;
                };
                match segment::next(&file, at.place.position).map_err(unreadable)? {
                    Next::Block(block, end) => {
                        size += usize::try_from(end - at.place.position).unwrap_or(usize::MAX);
                        blocks.push((at.place, block));
                        at.place.position = end;
                    }
                    Next::End if at.place.segment < until.segment => {
                        at = EmbeddedCursor {
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

    /// Opens the segment of `place`. If retention has removed it, moves on to the next segment.
    fn open(&self, place: Place) -> Result<EmbeddedCursor, LogError> {
        let (file, header) = match segment::open(&self.dir, place.segment) {
            Ok(opened) => opened,
            // Retention removes only segments before the saved place, oldest first.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && place.segment < self.saved.lock().segment =>
            {
                return Ok(EmbeddedCursor {
                    place: Place { segment: place.segment + 1, position: 0 },
                    file: None,
                });
            }
            Err(error) => return Err(unreadable(error)),
        };
        let Some((_, first)) = header else { return Err(self.damaged(place)) };
        let position = place.position.max(first);
        Ok(EmbeddedCursor { place: Place { position, ..place }, file: Some(Arc::new(file)) })
    }

    fn damaged(&self, at: Place) -> LogError {
        let path = segment::path(&self.dir, at.segment);
        let at = at.position;
        LogError::Corrupt(format!(
            "{} is damaged at byte {at}; restore the data directory from a backup",
            path.display()
        ))
    }
}

fn unreadable(error: io::Error) -> LogError {
    LogError::Corrupt(format!(
        "a segment: {error}; check the disk, the file permissions and the limit on open files"
    ))
}
