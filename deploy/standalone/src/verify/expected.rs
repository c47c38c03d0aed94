//! The sessions of a share of the users, as computed from the log.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use shared::{
    event::{Country, SessionEvent, UserId},
    session::{Absorbed, Fact, SessionFacts, SessionKey, Status},
    timestamp::Timestamp,
};

use super::ledger::Ledger;

/// One share of the users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) number: u64,
    pub(super) of: u64,
}

/// The sessions of a share, from all of their events in the log.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) sessions: HashMap<SessionKey, SessionFacts>,
    pub(super) contested: HashSet<SessionKey>,
}

impl Share {
    /// Whether `user` is in this share.
    pub(super) fn has(self, user: &UserId) -> bool {
        BuildHasherDefault::<DefaultHasher>::new().hash_one(user) % self.of == self.number
    }
}

impl Expected {
    pub(super) fn add(&mut self, event: SessionEvent, ledger: &mut Ledger) {
        let (key, fact): (SessionKey, Fact) = event.into();
        match self.sessions.entry(key.clone()).or_default().absorb(&fact) {
            // A new fact is counted later, when all facts of the session are known.
            Absorbed::New => {}
            Absorbed::Known => ledger.duplicate += 1,
            Absorbed::Contested => {
                ledger.dead_lettered += 1;
                self.contested.insert(key);
            }
        }
    }

    /// Adds the facts of this share to `ledger`, and returns the number of its sessions.
    pub(super) fn count(&self, horizon: Timestamp, ledger: &mut Ledger) -> u64 {
        let mut sessions = 0;
        for facts in self.sessions.values() {
            let all = (facts.starts().len() + facts.ends().len()) as u64;
            let status = facts.status(horizon);
            sessions += u64::from(status.is_some());
            let used = match status {
                None => {
                    ledger.expired += all;
                    continue;
                }
                Some(Status::Complete) => {
                    ledger.paired += 2;
                    2
                }
                Some(Status::Open) => {
                    ledger.open += 1;
                    1
                }
                Some(Status::Orphan) => {
                    ledger.orphan += 1;
                    1
                }
            };
            ledger.superseded += all - used;
        }
        sessions
    }

    /// Returns the complete sessions of each user, also of users without one.
    pub(super) fn complete(&self, horizon: Timestamp) -> BTreeMap<&UserId, Vec<&SessionKey>> {
        let mut users: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, facts) in &self.sessions {
            let sessions = users.entry(&key.user).or_default();
            if facts.status(horizon) == Some(Status::Complete) && !self.contested.contains(key) {
                sessions.push(key);
            }
        }
        users
    }

    /// Returns the sessions that started at or after `horizon`.
    pub(super) fn starts(
        &self,
        horizon: Timestamp,
    ) -> impl Iterator<Item = (&SessionKey, &SessionFacts)> {
        let recent =
            move |facts: &SessionFacts| facts.start().is_some_and(|start| start.ts >= horizon);
        self.sessions.iter().filter(move |(_, facts)| recent(facts))
    }

    /// Returns the countries with a start at or after `horizon`.
    pub(super) fn countries(&self, horizon: Timestamp) -> BTreeSet<&Country> {
        let starts = self.sessions.values().flat_map(SessionFacts::starts);
        starts.filter(|start| start.ts >= horizon).map(|start| &start.country).collect()
    }
}
