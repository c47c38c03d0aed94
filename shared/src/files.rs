//! How many files this process may have open, sockets among them.
//!
//! Most systems start a process with room for 1,024 and let it have many more for the asking. Without them a thousand idle
//! clients would leave the log and the store no file to write to.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the log, the store and the process itself may need at once; connections never get these.
const KEPT: usize = 384;

/// How many files the store may keep open between reads; a part of what is kept from connections.
pub(crate) const CACHED: usize = 192;

/// Raises the limit as far as the system lets this process raise it, and answers how many connections fit below it.
pub fn room_for_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files could not be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let files =
        limit.current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files.saturating_sub(KEPT).max(1)
}
