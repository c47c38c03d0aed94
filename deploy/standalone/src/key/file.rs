//! The file of keys, locked while it is changed.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

/// The mode of a new file: it holds hashes, and services of other users read it.
const MODE: u32 = 0o644;

/// A file that no other `bookend key` changes until this is dropped.
pub(super) struct KeyFile {
    path: PathBuf,
    /// Its directory, which is locked: the file itself is replaced.
    dir: File,
    /// `None` if there is no file yet.
    text: Option<String>,
}

impl KeyFile {
    /// Waits for the lock and reads the file.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        // A link stays, and the file that it names is replaced.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let dir = dir_of(&path);
        let dir = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
        flock(&dir, FlockOperation::LockExclusive)
            .context("cannot lock the directory of the keys")?;
        // Replacing a device or a pipe would remove it, and reading one may never end.
        if fs::metadata(&path).is_ok_and(|file| !file.is_file()) {
            anyhow::bail!("{} is not a regular file", path.display());
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, dir, text })
    }

    /// The path as text.
    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// The content.
    ///
    /// # Errors
    /// There is no file.
    pub(super) fn text(&self) -> anyhow::Result<&str> {
        self.text.as_deref().with_context(|| format!("there is no file {}", self.path()))
    }

    /// The content; empty without a file.
    pub(super) fn text_or_empty(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Replaces the file in one step, durably, with the mode and the owner that it had.
    pub(super) fn replace(&self, text: &str) -> anyhow::Result<()> {
        self.try_replace(text).with_context(|| format!("cannot write {}", self.path()))
    }

    fn try_replace(&self, text: &str) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(dir_of(&self.path))?;
        file.write_all(text.as_bytes())?;
        let mode = match self.text {
            Some(_) => {
                let (before, now) = (fs::metadata(&self.path)?, file.as_file().metadata()?);
                if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
                    chown(file.path(), Some(before.uid()), Some(before.gid()))?;
                }
                before.permissions()
            }
            None => Permissions::from_mode(MODE),
        };
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        self.dir.sync_all()
    }
}

/// The directory of `path`, also of a bare name.
fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
