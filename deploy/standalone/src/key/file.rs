//! The file of keys, locked while it is changed.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use shared::cli::say;
use tempfile::NamedTempFile;

/// The mode of a new file: it holds hashes, and services of other users read it.
const MODE: u32 = 0o644;

/// The time after which a command says that it waits for the lock.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// The time that it waits then. Every user who may read the directory can hold the lock.
const LAST_WAIT: Duration = Duration::from_secs(9);

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
    ///
    /// # Errors
    /// Another process holds the lock for 10 seconds, or the file cannot be read.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        // A link stays, and the file that it names is replaced.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let dir = locked(dir_of(&path))?;
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

    /// Replaces the file in one step, durably, with the mode and the owner that it had. Before that
    /// it calls `deliver`; an error of it leaves the file as it is.
    pub(super) fn replace(
        &self,
        text: &str,
        deliver: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path());
        let file = self.written(text).with_context(failed)?;
        deliver()?;
        file.persist(&self.path).with_context(failed)?;
        self.dir.sync_all().with_context(failed)
    }

    /// A durable file beside it with `text`.
    fn written(&self, text: &str) -> io::Result<NamedTempFile> {
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
        Ok(file)
    }
}

/// Opens and locks the directory `path`.
fn locked(path: &Path) -> anyhow::Result<File> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let shown = path.display();
    let dir = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
    let (sender, receiver) = mpsc::channel();
    // The lock has no time limit of its own. After the last wait, the process ends.
    thread::spawn(move || {
        sender.send(flock(&dir, FlockOperation::LockExclusive).map(|()| dir)).ok();
    });
    let outcome = receiver.recv_timeout(SILENT_WAIT).or_else(|_| {
        say(
            "bookend",
            format_args!(
                "waiting for the process that holds the lock on {shown}; `lslocks` names it"
            ),
        );
        receiver.recv_timeout(LAST_WAIT)
    });
    let outcome = outcome.map_err(|_| {
        anyhow::anyhow!(
            "another process holds the lock on {shown}, and nothing was changed; find it with \
             `lslocks`, stop it, and repeat the command"
        )
    })?;
    outcome.with_context(|| format!("cannot lock {shown}"))
}

/// The directory of `path`, also of a bare name.
fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
