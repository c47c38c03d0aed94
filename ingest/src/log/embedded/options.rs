//! The options of the embedded log and of its journals.

use shared::clock::Clock;

use super::disk::Disk;

/// The limits of the embedded log, and how long it keeps consumed records.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedLogOptions {
    /// The number of partitions of a new log, at most 64. An existing log keeps its own number.
    pub partitions: u32,
    /// The size in bytes at which a segment is closed.
    pub segment_bytes: u64,
    /// Consumed segments are removed while the log is larger than this, in bytes.
    pub retention_bytes: u64,
    /// Consumed segments are removed when they are older than this, in milliseconds.
    pub retention_ms: i64,
    /// The free space to keep on the disk, in bytes. Appends are refused below it.
    pub reserve_bytes: u64,
}

/// The options of one journal.
#[derive(Clone, Debug)]
pub(super) struct JournalOptions {
    pub(super) log: EmbeddedLogOptions,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
}

impl Default for EmbeddedLogOptions {
    fn default() -> Self {
        Self {
            partitions: 6,
            segment_bytes: 64 << 20,
            retention_bytes: 16 << 30,
            retention_ms: 7 * shared::timestamp::DAY,
            reserve_bytes: 256 << 20,
        }
    }
}
