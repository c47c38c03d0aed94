//! The system calls that durability depends on, write and sync, so that tests can make them fail.

use std::{fs::File, io, os::unix::fs::FileExt};

/// The disk of a journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) fault: std::sync::Arc<parking_lot::Mutex<Option<Fault>>>,
}

/// The fault that the next call of a kind meets.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The disk is full after half of a write.
    Full,
    /// A sync fails.
    Sync,
    /// A sync does not return until the fault is removed.
    Stuck {
        /// Whether a sync waits.
        waits: bool,
    },
}

impl Disk {
    pub(super) fn write(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        #[cfg(test)]
        if self.meets(Fault::Full) {
            file.write_all_at(&bytes[..bytes.len() / 2], position)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all_at(bytes, position)
    }

    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        if self.meets(Fault::Sync) {
            return Err(io::Error::other("the disk lost the write"));
        }
        #[cfg(test)]
        while let Some(Fault::Stuck { waits }) = self.fault.lock().as_mut() {
            *waits = true;
            std::thread::yield_now();
        }
        file.sync_data()
    }

    #[cfg(test)]
    fn meets(&self, fault: Fault) -> bool {
        *self.fault.lock() == Some(fault)
    }
}
