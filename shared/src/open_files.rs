//! The limit on open files, and how the process divides it between connections and its own files.
//!
//! Most systems start a process with a soft limit of 1,024 and allow much more. At 1,024, a
//! thousand idle clients would leave no files for the log and the store.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files reserved for the log, the store and the process itself; connections never use them.
const RESERVED: usize = 384;

/// The most files that the store keeps open between reads; part of [`RESERVED`].
pub(crate) const CACHED: usize = 192;

/// Raises the soft limit to the hard limit and returns the number of connections that fit below it.
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
    files.saturating_sub(RESERVED).max(1)
}
