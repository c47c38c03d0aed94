//! The log: the durable stream of records between the endpoint and the consumer.
//!
//! An append returns once its records are durable. Polled records are delivered again after a
//! restart until they are committed; a committed offset is the next one to read. Records that can
//! never be handled go to the dead letters beside the log. Nothing here parses a value.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::Registry;
use shared::{
    skew::{self, Server},
    store::LogId,
    timestamp::Timestamp,
};

pub mod config;
pub mod embedded;
mod error;
pub mod kafka;
mod letter;
pub mod murmur2;
mod record;
mod redrive;
mod topic_id;

pub use embedded::EmbeddedLog;
pub use error::{LogError, LogOpenError, RefusalCause};
pub use kafka::KafkaLog;
pub use letter::{DeadLetter, DeadLetterCode, Redriven};
pub use record::{
    Frontier, Header, LATEST_TS_LIMIT, NewRecord, Offsets, Partition, Position, Record,
};
pub(crate) use redrive::{NewestLetters, Origin};
pub use topic_id::TopicId;

/// The durable stream. Clones share one log.
#[derive(Clone, Debug)]
pub enum Log {
    /// Files of this process in a data directory.
    Embedded(EmbeddedLog),
    /// A topic on Kafka.
    Kafka(KafkaLog),
}

/// The position of a reader of the whole log.
pub enum LogCursor {
    /// In an embedded log.
    Embedded(embedded::EmbeddedCursor),
    /// On Kafka.
    Kafka(kafka::KafkaCursor),
}

impl Log {
    /// Appends records; returns when every one of them is durable.
    ///
    /// # Errors
    /// Any [`LogError`]. Some of the records may be durable nevertheless. Appending them again is
    /// harmless, because every event may be repeated.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.append(records).await,
            Self::Kafka(log) => log.append(records).await,
        }
    }

    /// Waits for records after those polled before; returns about `bytes` of them, at least one.
    pub async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        match self {
            Self::Embedded(log) => log.poll(bytes).await,
            Self::Kafka(log) => log.group().poll(bytes).await,
        }
    }

    /// Measures the clock of the log's servers by the append times of polled records.
    pub fn polled(&self, records: &[Record]) {
        if let Self::Kafka(log) = self {
            log.polled(records);
        }
    }

    /// Commits `frontier` durably: records before it are not delivered after a restart.
    pub async fn commit(&self, frontier: impl Into<Frontier>) -> Result<(), LogError> {
        let frontier = frontier.into();
        match self {
            Self::Embedded(log) => log.records().commit(frontier.offsets).await,
            Self::Kafka(log) => log.group().commit(frontier).await,
        }
    }

    /// Appends dead letters; returns when every one of them is durable.
    pub async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.dead_letter(letters).await,
            Self::Kafka(log) => log.dead_letter(letters).await,
        }
    }

    /// Reads the latest dead letters, to recognise those that a replay writes again.
    pub(crate) async fn newest_letters(&self) -> Result<NewestLetters, LogError> {
        match self {
            Self::Embedded(log) => log.newest_letters().await,
            Self::Kafka(log) => log.newest_letters().await,
        }
    }

    /// The record that `letter` is about.
    pub(crate) fn origin(&self, letter: &DeadLetter) -> Option<Origin> {
        match self {
            Self::Embedded(log) => Some(log.origin(letter)),
            Self::Kafka(log) => log.origin(letter),
        }
    }

    /// Returns the records after `cursor`, committed or not, about `bytes` of values; none at the
    /// end of the log. Records removed by the log's retention are skipped.
    pub async fn read(
        &self,
        cursor: &mut LogCursor,
        bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        match (self, cursor) {
            (Self::Embedded(log), LogCursor::Embedded(cursor)) => log.read(cursor, bytes).await,
            (Self::Kafka(log), LogCursor::Kafka(cursor)) => log.read(cursor, bytes).await,
            _ => Err(LogError::Corrupt("the cursor belongs to a log of another kind".to_owned())),
        }
    }

    /// Returns a cursor before the oldest record of the log.
    #[must_use]
    pub fn cursor(&self) -> LogCursor {
        match self {
            Self::Embedded(_) => LogCursor::Embedded(embedded::EmbeddedCursor::default()),
            Self::Kafka(_) => LogCursor::Kafka(kafka::KafkaCursor::default()),
        }
    }

    /// Appends the dead letters whose code is `wanted` to the log again, those of each record once.
    /// All but those of the code `future` keep their append time. The other letters remain. Calls
    /// `progress` after every step.
    ///
    /// # Errors
    /// Any [`LogError`]. The next call continues where this one ended.
    pub async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        match self {
            Self::Embedded(log) => log.redrive(wanted, progress).await,
            Self::Kafka(log) => log.redrive(wanted, progress).await,
        }
    }

    /// Registers the log's own metrics, and starts to check whether its servers are set up as it
    /// needs. Needs a running runtime.
    ///
    /// # Errors
    /// A name that `registry` has already.
    pub fn watch(&self, registry: &Registry) -> prometheus::Result<()> {
        match self {
            // One set of rules and dashboards serves every process, so each has the series.
            Self::Embedded(_) => {
                skew::register::<Partition>(registry, Server::Kafka, None)?;
                kafka::metrics::KafkaMetrics::new()?.register(registry)
            }
            Self::Kafka(log) => log.watch(registry),
        }
    }

    /// Reads the places of the records that went to the dead letters as `future`, redriven or not.
    /// None on the embedded log, whose records were all accepted.
    pub async fn refused_as_future(&self) -> Result<BTreeSet<(Partition, i64)>, LogError> {
        match self {
            Self::Embedded(_) => Ok(BTreeSet::new()),
            Self::Kafka(log) => log.refused_as_future().await,
        }
    }

    /// The committed offset and the end of each partition.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<Partition, Position> {
        match self {
            Self::Embedded(log) => log.records().positions(),
            Self::Kafka(log) => log.positions().get(),
        }
    }

    /// Queries the low watermark of each partition: the offset of the oldest record that retention
    /// has left, whether or not there is a record at that offset.
    pub async fn lows(&self) -> Result<Offsets, LogError> {
        match self {
            Self::Embedded(log) => log.records().lows().await,
            Self::Kafka(log) => log.lows().await,
        }
    }

    /// The identity of an embedded log.
    #[must_use]
    pub fn id(&self) -> Option<LogId> {
        match self {
            Self::Embedded(log) => Some(log.id()),
            Self::Kafka(_) => None,
        }
    }

    /// The number of dead letters that were not redriven.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        match self {
            Self::Embedded(log) => log.dead_letters(),
            Self::Kafka(log) => log.dead_letters(),
        }
    }

    /// The number of records that are appended but not durable yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        match self {
            Self::Embedded(log) => log.records().queued(),
            Self::Kafka(log) => log.producer().queued(),
        }
    }

    /// The partitions assigned to this process.
    #[must_use]
    pub fn held(&self) -> BTreeSet<Partition> {
        match self {
            Self::Embedded(log) => log.records().positions().into_keys().collect(),
            Self::Kafka(log) => log.group().held(),
        }
    }

    /// The append time of the oldest record that is fetched and not polled yet. `None` on the
    /// embedded log, which delivers records in the order of their age.
    #[must_use]
    pub fn oldest_waiting(&self) -> Option<Timestamp> {
        match self {
            Self::Embedded(_) => None,
            Self::Kafka(log) => log.group().oldest_waiting(),
        }
    }

    /// The number of changes of the partitions assigned to this process.
    #[must_use]
    pub fn rebalances(&self) -> u64 {
        match self {
            Self::Embedded(_) => 0,
            Self::Kafka(log) => log.group().rebalances(),
        }
    }

    /// Returns the number of records that retention removed before this process could read them,
    /// since the last call. Those of the embedded log are found when it is opened.
    #[must_use]
    pub fn take_removed(&self) -> u64 {
        match self {
            Self::Embedded(_) => 0,
            Self::Kafka(log) => log.group().take_removed(),
        }
    }

    /// Finishes appends in flight for a limited time and leaves the consumer group, so that another
    /// process takes over at once. A log that is only dropped is as safe, but its partitions move
    /// later. Nothing is appended or polled afterwards.
    pub async fn close(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Kafka(log) => log.close().await,
        }
    }

    /// Whether the log can accept records.
    pub fn ready(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.ready(),
            Self::Kafka(log) => log.ready(),
        }
    }

    /// Whether an endpoint may accept events up to `latest_ts` now. Otherwise a consumer might
    /// refuse one of them as `future`.
    pub fn check_latest_ts(&self, latest_ts: Timestamp) -> Result<(), LogError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(log) => log.check_latest_ts(latest_ts),
        }
    }

    /// Whether the log can be consumed, which may need dead letters to be appended.
    pub fn ready_to_consume(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.ready(),
            Self::Kafka(log) => log.ready_to_consume(),
        }
    }
}
