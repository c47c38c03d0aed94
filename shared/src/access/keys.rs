//! The keys in use, which follow the file of keys while the process runs.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use futures_util::{Stream, StreamExt};
use parking_lot::{Mutex, RwLock};
use prometheus::{IntGauge, Registry};

pub use self::{
    entry::{Key, parse_day},
    set::{KeySet, Unfit},
};
use super::{metrics, origin::AllowedOrigin};

mod entry;
mod set;

/// The keys in use. All requests share them; they change when the file does.
pub struct Keys {
    path: PathBuf,
    /// The origins that are allowed with every key.
    origins: Vec<AllowedOrigin>,
    current: RwLock<Arc<KeySet>>,
    /// The content at the last look, or the text of the error.
    seen: Mutex<Result<String, String>>,
}

impl Keys {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every mistake in the file, or why it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Vec<String>> {
        Self::open_beside(path, Vec::new())
    }

    /// The same beside `origins` that are allowed with every key. If they include every origin, a
    /// key with another right than to ingest is a mistake, now and when the file changes.
    ///
    /// # Errors
    /// Every mistake in the file, or why it cannot be read.
    pub fn open_beside(path: &Path, origins: Vec<AllowedOrigin>) -> Result<Self, Vec<String>> {
        let text = read(path).map_err(|cause| vec![cause])?;
        let current = KeySet::parse_beside(&text, &origins)?;
        warn_if_empty(path, &current);
        warn_if_writable(path);
        Ok(Self {
            path: path.to_owned(),
            origins,
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(Ok(text)),
        })
    }

    /// The keys now.
    #[must_use]
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read())
    }

    /// Registers the metric, and returns a future that looks at the file at each item of `looks`,
    /// until they end.
    pub fn watch(
        self: &Arc<Self>,
        registry: &Registry,
        looks: impl Stream<Item = ()> + Send + 'static,
    ) -> prometheus::Result<impl Future<Output = ()> + Send + 'static> {
        let reload_ok = metrics::reload_ok(registry)?;
        let keys = Arc::clone(self);
        Ok(async move {
            let mut looks = pin!(looks);
            while looks.next().await.is_some() {
                let (keys, reload_ok) = (Arc::clone(&keys), reload_ok.clone());
                // The file system may block.
                tokio::task::spawn_blocking(move || keys.look(&reload_ok)).await.ok();
            }
        })
    }

    /// Looks at the file. A broken or missing one changes nothing but the metric, and is logged
    /// once.
    fn look(&self, reload_ok: &IntGauge) {
        let content = read(&self.path);
        let mut seen = self.seen.lock();
        if *seen == content {
            return;
        }
        let parsed = match &content {
            Ok(text) => KeySet::parse_beside(text, &self.origins),
            Err(cause) => Err(vec![cause.clone()]),
        };
        *seen = content;
        let file = self.path.display();
        match parsed {
            Ok(set) => {
                warn_if_empty(&self.path, &set);
                warn_if_writable(&self.path);
                tracing::info!(%file, keys = set.len(), "the file of keys was read again");
                *self.current.write() = Arc::new(set);
                reload_ok.set(1);
            }
            Err(mistakes) => {
                let error = mistakes.join("; ");
                tracing::error!(%file, error, "the file of keys is not valid; the earlier keys stay in use");
                reload_ok.set(0);
            }
        }
    }
}

/// Reads the whole file. A pipe would be empty at the next look.
fn read(path: &Path) -> Result<String, String> {
    let read = || {
        if fs::metadata(path)?.is_file() {
            fs::read_to_string(path)
        } else {
            Err(std::io::Error::other("not a regular file"))
        }
    };
    read().map_err(|cause| format!("cannot be read: {cause}"))
}

fn warn_if_empty(path: &Path, set: &KeySet) {
    if set.is_empty() {
        let file = path.display();
        tracing::warn!(%file, "the file of keys has no key: every request that needs one is refused");
    }
}

/// Warns if other users than the owner may change or replace the file: each can add a key.
fn warn_if_writable(path: &Path) {
    // The directory in which a link ends.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let writable = [Some(file.as_path()), file.parent()].into_iter().flatten().find_map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((path.display(), writers(found.mode(), found.uid(), found.gid())?))
    });
    if let Some((writable, who)) = writable {
        let file = path.display();
        tracing::warn!(%file, %writable, "{who} can add keys to the file of keys; run chmod go-w");
    }
}

/// Who, beside the owner, may change a file, or the names in a directory.
fn writers(mode: u32, owner: u32, group: u32) -> Option<&'static str> {
    // The group of an ordinary user often has the same number and no other member.
    let is_shared = ![0, owner].contains(&group);
    match (mode & 0o002 != 0, mode & 0o020 != 0 && is_shared) {
        // Users can replace only their own files in such a directory.
        _ if mode & 0o1000 != 0 => None,
        (true, _) => Some("everybody on this machine"),
        (false, true) => Some("the members of its group"),
        (false, false) => None,
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
