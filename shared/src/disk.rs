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
        let text =
            format!("{free} bytes are free on the disk, and {} are to stay free", self.reserve);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_more_than_the_reserve_has_room() {
        let dir = tempfile::tempdir().unwrap();
        assert!(FreeSpace::of(dir.path(), 0).check().is_ok());
    }

    #[test]
    fn a_disk_with_less_than_the_reserve_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let refused = FreeSpace::of(dir.path(), u64::MAX).check().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("18446744073709551615 are to stay free"), "{refused}");
    }

    #[test]
    fn a_full_disk_is_full_for_as_long_as_the_answer_is_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let space = FreeSpace::of(dir.path(), u64::MAX);
        assert!(space.check().is_err() && space.clone().check().is_err());
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error_and_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let space = FreeSpace::of(&dir.path().join("gone"), 0);
        assert_eq!(space.check().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
