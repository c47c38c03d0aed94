//! The progress of one partition of a member.

/// The progress of one partition since its assignment, as next offsets; `None` before the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// The offset at which it began; `None` while nobody knows the oldest record.
    begin: Option<i64>,
    /// Up to where removed records were counted.
    removed_to: Option<i64>,
    pub(super) fetched: Option<i64>,
    /// The longest gap between fetched records that may be due to retention.
    gap: Option<Gap>,
    /// No record follows `fetched` yet.
    pub(super) at_end: bool,
    pub(super) polled: Option<i64>,
    pub(super) committed: Option<i64>,
}

/// Offsets between two fetched records. Retention removed them if they are before the low
/// watermark; otherwise they are transaction markers, aborted records, or were compacted.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: i64,
    to: i64,
    /// Whether a low watermark was compared with it. The next one is certainly newer than the gap.
    compared: bool,
}

impl Held {
    pub(super) fn new(begin: Option<i64>) -> Self {
        Self { begin, ..Self::default() }
    }

    /// Records that the record at `offset` was fetched. If retention removes records before they
    /// are fetched, the driver continues with the oldest one that is left.
    pub(super) fn fetch(&mut self, offset: i64) {
        if let Some(from) = self.next()
            && offset - from > self.gap.map_or(0, |gap| gap.to - gap.from)
        {
            self.gap = Some(Gap { from, to: offset, compared: false });
        }
        (self.fetched, self.at_end) = (Some(offset + 1), false);
    }

    /// The number of offsets before `low` that were not fetched; each is returned once.
    pub(super) fn take_removed(&mut self, low: i64) -> i64 {
        let passed = self.take_gap(low);
        let next = self.next().unwrap_or(low);
        self.removed_to = self.removed_to.max(Some(low));
        passed + (low - next).max(0)
    }

    /// The part of the gap before `low`.
    fn take_gap(&mut self, low: i64) -> i64 {
        let Some(gap) = self.gap.take() else { return 0 };
        let rest = Gap { from: gap.from.max(low), compared: true, ..gap };
        self.gap = (!gap.compared && rest.from < rest.to).then_some(rest);
        (low.min(gap.to) - gap.from).max(0)
    }

    /// The next offset to fetch, if it is known.
    fn next(&self) -> Option<i64> {
        self.fetched.max(self.committed).max(self.begin).max(self.removed_to)
    }
}
