//! The one thread that writes a journal: what waits becomes one block, one sync, and the answer to all of it.

use std::{fs::File, io, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use super::{
    block::{self, Entry, SegmentHeader},
    lock,
    segment::{self, Place},
    state::Shared,
};
use crate::log::LogError;

/// How many bytes of records one block takes, about: what begins a group may be longer, and one more may follow.
pub(super) const GROUP_BYTES: usize = 4 << 20;

/// Records that wait to become durable, and who waits for it.
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) done: oneshot::Sender<Result<(), LogError>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    file: File,
    place: Place,
    /// The offsets that come next.
    ends: Vec<i64>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, file: File, place: Place, ends: Vec<i64>) -> Self {
        Self { shared, file, place, ends, buffer: Vec::new() }
    }

    /// Writes until every sender is gone.
    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Append>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut bytes = size(&first);
            let mut group = vec![first];
            while bytes < GROUP_BYTES
                && let Ok(more) = waiting.try_recv()
            {
                bytes += size(&more);
                group.push(more);
            }
            let outcome = self.write(&group);
            for append in group {
                // Whoever waited may have gone; the records are durable all the same.
                append.done.send(outcome.clone()).ok();
            }
        }
    }

    fn write(&mut self, group: &[Append]) -> Result<(), LogError> {
        self.shared.ready()?;
        self.shared.space.check().map_err(|error| LogError::Busy(error.to_string()))?;
        if self.place.position >= self.shared.options.segment_bytes {
            self.rotate().map_err(|error| LogError::Busy(format!("no new segment: {error}")))?;
        }
        let entries = group.iter().flat_map(|append| &append.entries);
        block::write_block(&self.ends, entries, &mut self.buffer);
        let disk = &self.shared.options.disk;
        if let Err(error) = disk.write(&self.file, &self.buffer, self.place.position) {
            return Err(self.take_back(&error));
        }
        // After a failed sync the kernel may have dropped the very pages that were to be written.
        disk.sync(&self.file).map_err(|error| self.poison(format!("a sync failed: {error}")))?;
        self.place.position += self.buffer.len() as u64;
        for entry in group.iter().flat_map(|append| &append.entries) {
            if let Some(end) =
                usize::try_from(entry.partition).ok().and_then(|at| self.ends.get_mut(at))
            {
                *end += 1;
            }
        }
        lock(&self.shared.state).ends.clone_from(&self.ends);
        self.shared.durable.send_replace(self.place);
        Ok(())
    }

    /// A write that failed half way leaves no trace, so that the next one finds the end where it was.
    fn take_back(&self, error: &io::Error) -> LogError {
        match self.file.set_len(self.place.position) {
            Ok(()) if error.kind() == io::ErrorKind::StorageFull => {
                LogError::Busy(format!("the disk is full: {error}"))
            }
            Ok(()) => self.poison(format!("a write failed: {error}")),
            Err(stuck) => self
                .poison(format!("a write failed ({error}) and could not be taken back: {stuck}")),
        }
    }

    fn poison(&self, cause: String) -> LogError {
        tracing::error!(cause, "the log is poisoned: nothing more is accepted until a restart");
        LogError::Poisoned(lock(&self.shared.failed).get_or_insert(cause).clone())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.place.segment + 1;
        let header =
            SegmentHeader { created: self.shared.options.clock.now(), bases: self.ends.clone() };
        let (file, position) =
            segment::create(&self.shared.dir, number, &header).inspect_err(|_| {
                std::fs::remove_file(segment::path(&self.shared.dir, number)).ok();
            })?;
        (self.file, self.place) = (file, Place { segment: number, position });
        if let Err(error) = self.shared.retain(number) {
            tracing::warn!(%error, "old segments could not be removed");
        }
        Ok(())
    }
}

fn size(append: &Append) -> usize {
    append.entries.iter().map(block::entry_len).sum()
}
