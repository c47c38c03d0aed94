//! What goes into the log and comes out of it, and where in the log it stands. Shapes alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::timestamp::Timestamp;

/// A partition of the log.
pub type Partition = i32;

/// For each partition, the next offset to read.
pub type Offsets = BTreeMap<Partition, i64>;

/// A record to append. Its key decides its partition, as Kafka's Java clients do it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// What lies together is in order: the user. Without one it may lie in any partition; the embedded log takes an empty
    /// one in its place.
    pub key: Option<Bytes>,
    /// One event, as JSON.
    pub value: Bytes,
    /// What else stands on it; nearly always nothing. The embedded log does not keep it.
    pub headers: Vec<Header>,
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
    pub key: Option<Bytes>,
    /// One event, as JSON, unless whoever appended it was mistaken. Without one it says that its key is deleted, which means
    /// nothing here.
    pub value: Option<Bytes>,
    /// What else stands on it, as whoever appended it gave it.
    pub headers: Vec<Header>,
    /// When it was appended: the instant by which its event is judged.
    pub append_time: Timestamp,
}

/// A name and a value that stand on a record beside its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name; the same may occur again.
    pub name: String,
    /// Its value.
    pub value: Option<Bytes>,
}

/// Where one partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read after a restart.
    pub committed: i64,
    /// The offset that the next record will have.
    pub end: i64,
}

impl NewRecord {
    /// A record that is new now.
    #[must_use]
    pub fn new(key: Bytes, value: Bytes) -> Self {
        Self { key: Some(key), value, ..Self::default() }
    }
}
