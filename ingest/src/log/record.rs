//! The records of the log, and positions in it. Types only: no backend is named here.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::timestamp::Timestamp;

/// A partition of the log.
pub type Partition = i32;

/// For each partition, the next offset to read.
pub type Offsets = BTreeMap<Partition, i64>;

/// A record to append. Its key decides its partition, with the partitioner of Kafka's Java clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The user: records with one key keep their order. A record without a key may go to any
    /// partition; the embedded log stores an empty key instead.
    pub key: Option<Bytes>,
    /// One event, as JSON.
    pub value: Bytes,
    /// The headers, usually none. The embedded log does not store them.
    pub headers: Vec<Header>,
    /// The first append time of a record that was a dead letter; `None` means now.
    pub append_time: Option<Timestamp>,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: Partition,
    /// The offset in the partition.
    pub offset: i64,
    /// The key as it was appended.
    pub key: Option<Bytes>,
    /// One event as JSON, unless a producer wrote something else. A record without a value deletes
    /// its key in a compacted topic; the consumer skips it.
    pub value: Option<Bytes>,
    /// The headers as they were appended.
    pub headers: Vec<Header>,
    /// The append time, at which its event is judged.
    pub append_time: Timestamp,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, not necessarily unique.
    pub name: String,
    /// The value.
    pub value: Option<Bytes>,
}

/// The position of a consumer in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The committed offset: the next one to read after a restart.
    pub committed: i64,
    /// The end: the offset of the next record to be appended.
    pub end: i64,
}

impl NewRecord {
    /// A record without headers, appended now.
    #[must_use]
    pub fn new(key: Bytes, value: Bytes) -> Self {
        Self { key: Some(key), value, ..Self::default() }
    }
}
