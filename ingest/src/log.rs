//! The log: the durable stream of records between the endpoint and the consumer, on one of the closed set of backends.
//!
//! An append is answered when it is durable. What is polled comes back until its offset is committed; an offset is the next
//! to read. What can never be an event goes to the dead letters beside the log. Nothing here looks inside a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use shared::timestamp::Timestamp;
use thiserror::Error;

pub mod config;
pub mod embedded;
pub mod kafka;
mod letter;
pub mod murmur2;
mod record;

pub use embedded::EmbeddedLog;
pub use kafka::KafkaLog;
pub use letter::{DeadLetter, DeadLetterCode, Redriven};
pub use record::{Header, NewRecord, Offsets, Partition, Position, Record};

/// The durable stream. Clones share one log.
#[derive(Clone, Debug)]
pub enum Log {
    /// In this process, in a data directory.
    Embedded(EmbeddedLog),
    /// On Kafka.
    Kafka(KafkaLog),
}

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// It cannot take more now; the same append may succeed after a while.
    #[error("the log cannot take more now: {0}")]
    Busy(String),
    /// It failed in a way after which only a restart, and the recovery that comes with it, can be trusted.
    #[error("the log has failed and needs a restart: {0}")]
    Poisoned(String),
    /// It holds what it never wrote.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
}

/// Why the log could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// What it was told to be cannot be: a mistake of whoever configured it.
    #[error("{0}")]
    Configuration(String),
    /// Another process has it open.
    #[error("the data directory is in use by another process; stop that one first")]
    Locked,
    /// What it lies on cannot be reached, or refuses.
    #[error("{0}")]
    Unavailable(String),
    /// The file system refused.
    #[error("the data directory cannot be used: {0}")]
    Io(#[from] io::Error),
    /// It is damaged where it was acknowledged.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
}

/// Where a reader of the whole log stands.
pub enum Cursor {
    /// In an embedded log.
    Embedded(embedded::EmbeddedCursor),
    /// On Kafka.
    Kafka(kafka::KafkaCursor),
}

macro_rules! on_backend {
    ($self:ident, $log:ident => $call:expr) => {
        match $self {
            Self::Embedded($log) => $call,
            Self::Kafka($log) => $call,
        }
    };
}

impl Log {
    /// Appends records; returns when every one of them is durable.
    ///
    /// # Errors
    /// Any [`LogError`]. Some of the records may have been appended all the same: appending them again is harmless, as every
    /// event may be repeated.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        on_backend!(self, log => log.append(records).await)
    }

    /// The next records behind those polled before, at least one, about `bytes` of values at most; waits for them.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] or [`LogError::Poisoned`].
    pub async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        on_backend!(self, log => log.poll(bytes).await)
    }

    /// Makes durable that everything before `offsets` is handled and need not come back after a restart.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        on_backend!(self, log => log.commit(offsets).await)
    }

    /// Appends dead letters; returns when every one of them is durable.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), LogError> {
        on_backend!(self, log => log.dead_letter(letters).await)
    }

    /// The next records behind `cursor`, whether or not they were committed, about `bytes` of values; none at the end. What
    /// retention has removed is not among them.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] or [`LogError::Poisoned`].
    pub async fn read(&self, cursor: &mut Cursor, bytes: usize) -> Result<Vec<Record>, LogError> {
        match (self, cursor) {
            (Self::Embedded(log), Cursor::Embedded(cursor)) => log.read(cursor, bytes).await,
            (Self::Kafka(log), Cursor::Kafka(cursor)) => log.read(cursor, bytes).await,
            _ => Err(LogError::Corrupt("the cursor belongs to a log of another kind".to_owned())),
        }
    }

    /// A cursor before the first record that is left.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Embedded(_) => Cursor::Embedded(embedded::EmbeddedCursor::default()),
            Self::Kafka(_) => Cursor::Kafka(kafka::KafkaCursor::default()),
        }
    }

    /// Appends again the dead letters whose code is `wanted`, with their original append time; the others stay dead
    /// letters. `progress` is told after every step.
    ///
    /// # Errors
    /// Any [`LogError`]; what was appended before it may be appended again by the next call, which is harmless.
    pub async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        on_backend!(self, log => log.redrive(wanted, progress).await)
    }

    /// Where each partition stands.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<Partition, Position> {
        on_backend!(self, log => log.positions())
    }

    /// How many dead letters there are that were not redriven.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        on_backend!(self, log => log.dead_letters())
    }

    /// How many records wait to become durable.
    #[must_use]
    pub fn queued(&self) -> usize {
        on_backend!(self, log => log.queued())
    }

    /// The partitions whose records are polled here and nowhere else.
    #[must_use]
    pub fn held(&self) -> BTreeSet<Partition> {
        match self {
            Self::Embedded(log) => log.positions().into_keys().collect(),
            Self::Kafka(log) => log.held(),
        }
    }

    /// When the oldest record was appended that is at hand and waits to be polled, where records do not come in the order of
    /// their age.
    #[must_use]
    pub fn oldest_waiting(&self) -> Option<Timestamp> {
        match self {
            Self::Embedded(_) => None,
            Self::Kafka(log) => log.oldest_waiting(),
        }
    }

    /// How often the partitions that are consumed here have changed.
    #[must_use]
    pub fn rebalances(&self) -> u64 {
        match self {
            Self::Embedded(_) => 0,
            Self::Kafka(log) => log.rebalances(),
        }
    }

    /// Finishes what is under way, as far as that succeeds in time, and gives back what it holds, so that another process
    /// takes over at once. A log that is only dropped is as safe, and slower to take over. Nothing is appended or polled after
    /// it.
    pub async fn close(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Kafka(log) => log.close().await,
        }
    }

    /// Whether the log can take records, and why not.
    ///
    /// # Errors
    /// The [`LogError`] that an append would meet now.
    pub fn ready(&self) -> Result<(), LogError> {
        on_backend!(self, log => log.ready())
    }
}
