//! The errors of every log.

use std::io;

use thiserror::Error;

/// Why the log could not serve a request.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// A passing fault: the same request may succeed later.
    #[error("the log is unavailable: {0}")]
    Busy(String),
    /// A failure after which only a restart, with the recovery that it runs, can be trusted.
    #[error("the log has failed: {0}; restart the process")]
    Poisoned(String),
    /// The log holds bytes that it never wrote.
    #[error("the log cannot be read: {0}")]
    Corrupt(String),
}

/// Why the log could not be opened.
#[derive(Debug, Error)]
pub enum LogOpenError {
    /// A mistake in the configuration.
    #[error("{0}")]
    Configuration(String),
    /// Another process has the directory open.
    #[error("the data directory is in use by another process; stop that process first")]
    Locked,
    /// The brokers cannot be reached, or refuse the request.
    #[error("{0}")]
    Unavailable(String),
    /// A file operation failed.
    #[error("{0}; check the path, its permissions and the disk")]
    Io(#[from] io::Error),
    /// The log is damaged before its end, where every byte was acknowledged.
    #[error("the log is damaged: {0}; restore the data directory from a backup")]
    Corrupt(String),
}

impl From<LogError> for LogOpenError {
    fn from(error: LogError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
