//! The thread that writes a journal: all queued appends share one block and one sync.

use std::{fs::File, io, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use super::{
    block::{self, Entry, SegmentHeader},
    segment::{self, Place},
    state::JournalState,
};
use crate::log::LogError;

/// The approximate size of a block in bytes. Its first and last append may exceed it.
pub(super) const GROUP_BYTES: usize = 4 << 20;

/// An append that is not durable yet.
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) done: oneshot::Sender<Result<(), LogError>>,
}

pub(super) struct Writer {
    shared: Arc<JournalState>,
    file: File,
    place: Place,
    /// The offset of the next record in every partition.
    ends: Vec<i64>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shared: Arc<JournalState>, file: File, place: Place, ends: Vec<i64>) -> Self {
        Self { shared, file, place, ends, buffer: Vec::new() }
    }

    /// Writes until every sender is dropped.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Append>) {
        while let Some(first) = queue.blocking_recv() {
            let mut bytes = size(&first);
            let mut group = vec![first];
            while bytes < GROUP_BYTES
                && let Ok(more) = queue.try_recv()
            {
                bytes += size(&more);
                group.push(more);
            }
            let outcome = self.write(&group);
            for append in group {
                // The caller may have dropped its future; the records are durable nevertheless.
                append.done.send(outcome.clone()).ok();
            }
        }
    }

    fn write(&mut self, group: &[Append]) -> Result<(), LogError> {
        self.shared.ready()?;
        self.shared.space.check().map_err(|error| LogError::Busy(error.to_string()))?;
        if self.place.position >= self.shared.options.log.segment_bytes {
            self.rotate().map_err(|error| {
                LogError::Busy(format!("no new segment could be created: {error}"))
            })?;
        }
        let entries = group.iter().flat_map(|append| &append.entries);
        let ends = block::write_block(&self.ends, entries, &mut self.buffer)?;
        let disk = &self.shared.options.disk;
        if let Err(error) = disk.write(&self.file, &self.buffer, self.place.position) {
            return Err(self.undo(&error));
        }
        // After a failed sync the kernel may have dropped the pages that were to be written.
        disk.sync(&self.file).map_err(|error| self.poison(format!("a sync failed: {error}")))?;
        self.place.position += self.buffer.len() as u64;
        self.shared.offsets.lock().ends.clone_from(&ends);
        self.ends = ends;
        self.shared.durable.send_replace(self.place);
        Ok(())
    }

    /// Removes the bytes of a failed write, so that the next one begins where it did.
    fn undo(&self, error: &io::Error) -> LogError {
        match self.file.set_len(self.place.position) {
            Ok(()) if error.kind() == io::ErrorKind::StorageFull => {
                LogError::Busy(format!("the disk is full: {error}"))
            }
            Ok(()) => self.poison(format!("a write failed: {error}")),
            Err(stuck) => {
                self.poison(format!("a write failed ({error}) and could not be undone: {stuck}"))
            }
        }
    }

    fn poison(&self, cause: String) -> LogError {
        tracing::error!(
            cause,
            "the log has failed and accepts nothing more; check the disk, then restart the process"
        );
        LogError::Poisoned(self.shared.failed.lock().get_or_insert(cause).clone())
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
