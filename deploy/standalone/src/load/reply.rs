//! The reply of the service to a batch.

use serde::Deserialize;

use super::batch::Place;

/// The outcome of the events of one batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BatchReport {
    pub(super) accepted: u64,
    pub(super) refused: Vec<Refused>,
}

/// An event that the service does not keep.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) place: Place,
    /// Whether it is too old to be kept, which is not a mistake of its producer.
    pub(super) is_discarded: bool,
    pub(super) code: String,
    /// Empty if the service gives none.
    pub(super) detail: String,
}

#[derive(Deserialize)]
struct Reply {
    accepted: u64,
    discarded: Vec<Entry>,
    rejected: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    code: String,
    #[serde(default)]
    detail: String,
}

impl BatchReport {
    /// Reads a reply; `None` if it is not a reply to a batch of events at these `places`.
    pub(super) fn read(reply: &[u8], places: &[Place]) -> Option<Self> {
        let reply: Reply = serde_json::from_slice(reply).ok()?;
        let discarded = reply.discarded.into_iter().map(|entry| (entry, true));
        let rejected = reply.rejected.into_iter().map(|entry| (entry, false));
        let refused = discarded.chain(rejected).map(|(entry, is_discarded)| {
            let Entry { index, code, detail } = entry;
            Some(Refused { place: *places.get(index)?, is_discarded, code, detail })
        });
        let report = Self { accepted: reply.accepted, refused: refused.collect::<Option<_>>()? };
        let events = report.accepted + report.refused.len() as u64;
        (events == places.len() as u64).then_some(report)
    }

    /// Adds the outcome of another batch.
    pub(super) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused.extend(other.refused);
    }
}
