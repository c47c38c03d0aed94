//! The free space on the disk, checked before every write.
//!
//! An engine that fills the disk during a background write must be restarted. So no write begins
//! while less than a reserve is free: writers wait, or report that they are unavailable, until
//! there is space.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::Bytes;

/// How long a result of the file system is reused.
const FRESH: Duration = Duration::from_millis(100);

/// The free space on the file system of a directory. Clones share the last result.
#[derive(Clone, Debug)]
pub struct FreeSpace {
    dir: PathBuf,
    reserve: u64,
    created: Instant,
    /// The time of the last check, in milliseconds after `created`, plus one; 0 before the first.
    checked: Arc<AtomicU64>,
    free: Arc<AtomicU64>,
}

impl FreeSpace {
    /// The free space on the file system of `dir`. `reserve` bytes must stay free.
    #[must_use]
    pub fn of(dir: &Path, reserve: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve,
            created: Instant::now(),
            checked: Arc::default(),
            free: Arc::default(),
        }
    }

    /// Succeeds if more than the reserve is free.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if not, or the error of the file system.
    pub fn check(&self) -> io::Result<()> {
        let free = self.free()?;
        if free > self.reserve {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, too_full(free, self.reserve)))
    }

    fn free(&self) -> io::Result<u64> {
        let now = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let checked = self.checked.load(Ordering::Acquire);
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        if checked != 0 && now.saturating_sub(checked) < fresh {
            return Ok(self.free.load(Ordering::Acquire));
        }
        let stat = rustix::fs::statvfs(&self.dir)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        self.free.store(free, Ordering::Release);
        self.checked.store(now, Ordering::Release);
        Ok(free)
    }
}

/// The error for a disk with `free` bytes of which `reserve` must stay free.
pub(crate) fn too_full(free: u64, reserve: u64) -> String {
    format!("{} are free on the disk, but --min-free-disk is {}", Bytes(free), Bytes(reserve))
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
        assert!(refused.to_string().contains("--min-free-disk is 17179869184 GiB"), "{refused}");
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
