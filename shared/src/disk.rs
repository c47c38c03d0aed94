//! How much room is left on the disk, asked before anything is written to it.
//!
//! An engine that runs into the end of the disk in the middle of a background write has to be restarted. So nothing is
//! begun when less than a reserve is left: writers wait or answer that they cannot now, and go on when there is room.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long an answer of the file system is believed.
const FRESH: Duration = Duration::from_millis(100);

/// Watches the room left on the file system of one directory. Clones share the watch.
#[derive(Clone, Debug)]
pub struct FreeSpace {
    dir: PathBuf,
    reserve: u64,
    begun: Instant,
    /// When it was looked at last, in milliseconds since `begun`, and one; 0 when never.
    looked: Arc<AtomicU64>,
    free: Arc<AtomicU64>,
}

impl FreeSpace {
    /// Watches the file system of `dir`, of which `reserve` bytes are to stay free.
    #[must_use]
    pub fn of(dir: &Path, reserve: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve,
            begun: Instant::now(),
            looked: Arc::default(),
            free: Arc::default(),
        }
    }

    /// Whether more than the reserve is free.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when it is not, or what the file system answered.
    pub fn check(&self) -> io::Result<()> {
        let free = self.free()?;
        if free > self.reserve {
            return Ok(());
        }
        let text = format!("{free} bytes are free on the disk, and {} are to stay free", self.reserve);
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    fn free(&self) -> io::Result<u64> {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let looked = self.looked.load(Ordering::Acquire);
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        if looked != 0 && now.saturating_sub(looked) < fresh {
            return Ok(self.free.load(Ordering::Acquire));
        }
        let stat = rustix::fs::statvfs(&self.dir)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        self.free.store(free, Ordering::Release);
        self.looked.store(now, Ordering::Release);
        Ok(free)
    }
}
