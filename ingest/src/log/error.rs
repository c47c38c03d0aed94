//! The errors of every log.

use std::{io, time::Duration};

use thiserror::Error;

/// Why the log could not serve a request.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// A passing fault: the same request may succeed later.
    #[error("the log is unavailable: {0}")]
    Busy(String),
    /// The brokers refuse the records, and will until an operator changes a setting or a right.
    #[error("the brokers refuse the records: {detail}")]
    Refused {
        /// The kind of the refusal.
        cause: RefusalCause,
        /// What is refused, and what to change.
        detail: String,
    },
    /// The brokers read nothing more of this process for some time, because it exceeds a quota.
    #[error(
        "the brokers throttle this process for another {} s, because it exceeds a quota; raise its \
         producer_byte_rate or request_percentage",
        left.as_secs_f64().ceil()
    )]
    Throttled {
        /// The remaining time.
        left: Duration,
    },
    /// A failure after which only a restart, with the recovery that it runs, can be trusted.
    #[error("the log has failed: {0}; restart the process")]
    Poisoned(String),
    /// The log holds bytes that it never wrote.
    #[error("the log cannot be read: {0}")]
    Corrupt(String),
}

/// Why the brokers refuse records. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// A record, or a batch of them, is larger than the topic allows.
    TooLarge,
    /// The user may not write to the topic.
    NotAuthorized,
    /// The time of a record differs too much from the brokers'.
    InvalidTime,
    /// The topic, or a policy of the cluster, takes no such record.
    InvalidRecord,
}

impl LogError {
    /// Whether the same request may succeed later, without a restart.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Refused { .. } | Self::Throttled { .. } => true,
            Self::Poisoned(_) | Self::Corrupt(_) => false,
        }
    }
}

impl RefusalCause {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::TooLarge, Self::NotAuthorized, Self::InvalidTime, Self::InvalidRecord];

    /// The cause as it appears in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotAuthorized => "not_authorized",
            Self::InvalidTime => "invalid_time",
            Self::InvalidRecord => "invalid_record",
        }
    }
}

/// Why the log could not be opened.
#[derive(Debug, Error)]
pub enum LogOpenError {
    /// A mistake in the configuration.
    #[error("{0}")]
    Configuration(String),
    /// A command that only reads found no log.
    #[error("it does not exist; check the path, or start the service, which creates it")]
    Missing,
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
