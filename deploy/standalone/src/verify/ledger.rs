//! The ledger: the number of records in the log by result.

use serde::Serialize;

/// The number of records in the log by result. The classes add up to the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Records in the log.
    pub records: u64,
    /// The start or the end of a complete session.
    pub paired: u64,
    /// The start of a session without an end.
    pub open: u64,
    /// The end of a session without a start.
    pub orphan: u64,
    /// Replaced by another event of the same session.
    pub superseded: u64,
    /// A repeated event.
    pub duplicate: u64,
    /// Too old when it was appended, or its session has expired.
    pub expired: u64,
    /// Not an event, or over the limit of facts of its session.
    pub dead_lettered: u64,
    /// A record without a value.
    pub skipped: u64,
}

impl Ledger {
    /// Whether every record is in exactly one class.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.records == self.classes().iter().map(|(_, count)| count).sum::<u64>()
    }

    /// The name of each class and its number of records.
    pub(super) fn classes(&self) -> [(&'static str, u64); 8] {
        [
            ("paired", self.paired),
            ("open", self.open),
            ("orphan", self.orphan),
            ("superseded", self.superseded),
            ("duplicate", self.duplicate),
            ("expired", self.expired),
            ("dead-lettered", self.dead_lettered),
            ("skipped", self.skipped),
        ]
    }
}
