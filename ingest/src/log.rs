//! The log: the durable stream of records between the endpoint and the consumer, on one of the closed set of backends.
//!
//! An append is answered when it is durable. What is polled comes back until its offset is committed; an offset is the next
//! to read. What can never be an event goes to the dead letters beside the log. Nothing here looks inside a record.

use std::{collections::BTreeMap, fmt, io, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared::{event::RejectionCode, timestamp::Timestamp};
use thiserror::Error;

pub mod embedded;
pub mod murmur2;

pub use embedded::EmbeddedLog;

/// The durable stream. Clones share one log.
#[derive(Clone, Debug)]
pub enum Log {
    /// In this process, in a data directory.
    Embedded(EmbeddedLog),
}

/// A partition of the log.
pub type Partition = i32;

/// For each partition, the next offset to read.
pub type Offsets = BTreeMap<Partition, i64>;

/// A record to append. Its key decides its partition, as Kafka's Java clients do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// What lies together is in order: the user.
    pub key: Bytes,
    /// One event, as JSON.
    pub value: Bytes,
    /// When it was first appended, for a record that comes back from the dead letters; else now.
    pub append_time: Option<Timestamp>,
}

/// What the log gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub partition: Partition,
    /// Its place in the partition.
    pub offset: i64,
    /// Its key, as it was appended.
    pub key: Bytes,
    /// One event, as JSON, unless whoever appended it was mistaken.
    pub value: Bytes,
    /// When it was appended: the instant by which its event is judged.
    pub append_time: Timestamp,
}

/// Why a record went to the dead letters. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadLetterCode {
    /// It is no valid event: the code of its rejection.
    Rejected(RejectionCode),
    /// Its session has too many distinct facts.
    Contested,
    /// Handling it panicked: a defect of ours, kept for when it is mended.
    Panicked,
}

/// A record that can not be handled, with the reason and the place it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why.
    pub code: DeadLetterCode,
    /// The record as it was polled.
    pub record: Record,
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
    /// Another process has it open.
    #[error("the data directory is in use by another process; stop that one first")]
    Locked,
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
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Dead letters looked at.
    pub looked_at: u64,
    /// Of these, appended to the log again.
    pub appended: u64,
}

/// Where one partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read after a restart.
    pub committed: i64,
    /// The offset that the next record will have.
    pub end: i64,
}

macro_rules! on_backend {
    ($self:ident, $log:ident => $call:expr) => {
        match $self {
            Self::Embedded($log) => $call,
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
        }
    }

    /// A cursor before the first record that is left.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Embedded(_) => Cursor::Embedded(embedded::EmbeddedCursor::default()),
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

    /// Whether the log can take records, and why not.
    ///
    /// # Errors
    /// The [`LogError`] that an append would meet now.
    pub fn ready(&self) -> Result<(), LogError> {
        on_backend!(self, log => log.ready())
    }
}

impl DeadLetterCode {
    /// Every code, in the order of their texts' meaning: what is refused, then what is abuse, then what is our defect.
    pub fn all() -> impl Iterator<Item = Self> {
        RejectionCode::ALL.iter().copied().map(Self::Rejected).chain([Self::Contested, Self::Panicked])
    }

    /// The word by which it is known in a dead letter's header and a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected(code) => code.as_str(),
            Self::Contested => "contested",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for DeadLetterCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeadLetterCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|code| code.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::all().map(Self::as_str).collect();
            format!("{text:?} is no code of a dead letter; they are {}", all.join(", "))
        })
    }
}

impl Serialize for DeadLetterCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DeadLetterCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
