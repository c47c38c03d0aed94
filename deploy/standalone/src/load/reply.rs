//! What the service answers to a batch.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

/// What became of the events of one batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) accepted: u64,
    pub(super) discarded: u64,
    pub(super) rejected: BTreeMap<String, u64>,
}

/// The part of the reply that counts; the indexes and the details are for those who send single events.
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

impl Outcome {
    /// Reads a reply; `None` when it is not one to a batch of that many events.
    pub(super) fn of(reply: &[u8], events: usize) -> Option<Self> {
        let reply: Reply<'_> = serde_json::from_slice(reply).ok()?;
        let refused = (reply.discarded.len() + reply.rejected.len()) as u64;
        let mut outcome = Self {
            accepted: reply.accepted,
            discarded: reply.discarded.len() as u64,
            ..Self::default()
        };
        for Refused { code } in &reply.rejected {
            outcome.reject(code);
        }
        (reply.accepted + refused == events as u64).then_some(outcome)
    }

    /// Counts an event as rejected.
    pub(super) fn reject(&mut self, code: &str) {
        match self.rejected.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.rejected.insert(code.to_owned(), 1)),
        }
    }

    /// Adds what became of another batch.
    pub(super) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.discarded += other.discarded;
        for (code, count) in other.rejected {
            *self.rejected.entry(code).or_default() += count;
        }
    }
}
