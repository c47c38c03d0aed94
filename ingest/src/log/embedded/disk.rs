//! The two calls of which the log's promise is made, write and sync, in one place, so that tests can make them fail.

use std::{fs::File, io, os::unix::fs::FileExt};

/// The disk under a journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) fault: std::sync::Arc<std::sync::Mutex<Option<Fault>>>,
}

/// What the next call of a kind meets.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Half of a write is done, then the disk is full.
    Full,
    /// A sync fails.
    Sync,
    /// A sync does not come back until the fault is taken away; while one waits, this is what it says.
    Stuck {
        /// Whether one waits.
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
        while let Some(Fault::Stuck { waits }) = self.fault.lock().unwrap().as_mut() {
            *waits = true;
            std::thread::yield_now();
        }
        file.sync_data()
    }

    #[cfg(test)]
    fn meets(&self, fault: Fault) -> bool {
        *self.fault.lock().unwrap() == Some(fault)
    }
}
