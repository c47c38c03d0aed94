//! The progress of one partition of a member.

/// The progress of one partition since its assignment, as next offsets; `None` before the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// The offset at which it began.
    pub(super) begin: i64,
    /// Up to where removed records were counted.
    pub(super) removed_to: i64,
    pub(super) fetched: Option<i64>,
    /// No record follows `fetched` yet.
    pub(super) at_end: bool,
    pub(super) polled: Option<i64>,
    pub(super) committed: Option<i64>,
}

impl Held {
    /// The number of offsets before `low` that were not fetched; each is returned once.
    pub(super) fn take_removed(&mut self, low: i64) -> i64 {
        let next = self.fetched.max(self.committed).unwrap_or(self.begin).max(self.removed_to);
        self.removed_to = self.removed_to.max(low);
        (low - next).max(0)
    }
}
