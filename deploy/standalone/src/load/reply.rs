//! The reply of the service to a batch.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

/// The number of events of one batch by result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BatchReport {
    pub(super) accepted: u64,
    pub(super) discarded: u64,
    pub(super) rejected: BTreeMap<String, u64>,
}

/// The fields of a reply that are counted; indexes and details are ignored.
#[derive(Deserialize)]
struct Reply<'a> {
    accepted: u64,
    #[serde(borrow)]
    discarded: Vec<Refused<'a>>,
    #[serde(borrow)]
    rejected: Vec<Refused<'a>>,
}

#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

impl BatchReport {
    /// Reads a reply; `None` if it is not a reply to a batch of `events` events.
    pub(super) fn read(reply: &[u8], events: usize) -> Option<Self> {
        let reply: Reply<'_> = serde_json::from_slice(reply).ok()?;
        let refused = (reply.discarded.len() + reply.rejected.len()) as u64;
        let mut report = Self {
            accepted: reply.accepted,
            discarded: reply.discarded.len() as u64,
            ..Self::default()
        };
        for Refused { code } in &reply.rejected {
            report.reject(code);
        }
        (reply.accepted + refused == events as u64).then_some(report)
    }

    /// Counts a rejected event.
    pub(super) fn reject(&mut self, code: &str) {
        match self.rejected.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.rejected.insert(code.to_owned(), 1)),
        }
    }

    /// Adds the counts of another batch.
    pub(super) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.discarded += other.discarded;
        for (code, count) in other.rejected {
            *self.rejected.entry(code).or_default() += count;
        }
    }
}
