//! The sessions of a share of the users, as computed from the log.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use shared::{
    event::{Country, SessionEvent, UserId},
    session::{Absorbed, Fact, MAX_FACTS, SessionFacts, SessionKey, Status},
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
    /// The facts of records that are not answered yet, which the store may have or lack.
    waiting: HashMap<SessionKey, Vec<Fact>>,
}

impl Share {
    /// Whether `user` is in this share.
    pub(super) fn has(self, user: &UserId) -> bool {
        BuildHasherDefault::<DefaultHasher>::new().hash_one(user) % self.of == self.number
    }
}

impl Expected {
    /// Adds the event of a record, and whether the record is answered.
    pub(super) fn add(&mut self, event: SessionEvent, is_answered: bool, ledger: &mut Ledger) {
        let (key, fact): (SessionKey, Fact) = event.into();
        if !is_answered {
            let waiting = self.waiting.entry(key.clone()).or_default();
            // More than a session can have say nothing more.
            if waiting.len() <= MAX_FACTS && !waiting.contains(&fact) {
                waiting.push(fact.clone());
            }
        }
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

    /// Whether the rows of a session can be compared: they follow from its facts alone, and the
    /// consumer had to write all of them.
    pub(super) fn is_settled(&self, key: &SessionKey) -> bool {
        !self.contested.contains(key) && !self.waiting.contains_key(key)
    }

    /// The facts of a session that the store must have.
    pub(super) fn answered(&self, key: &SessionKey) -> Cow<'_, SessionFacts> {
        match (self.sessions.get(key), self.waiting.get(key)) {
            (Some(all), Some(waiting)) => Cow::Owned(all.without(waiting)),
            (Some(all), None) => Cow::Borrowed(all),
            (None, _) => Cow::Owned(SessionFacts::default()),
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
            if facts.status(horizon) == Some(Status::Complete) && self.is_settled(key) {
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

    /// Returns the countries of the starts at or after `horizon` that are answered.
    pub(super) fn countries(&self, horizon: Timestamp) -> BTreeSet<&Country> {
        let sessions = self.sessions.iter().filter(|(key, _)| !self.waiting.contains_key(*key));
        let starts = sessions.flat_map(|(_, facts)| facts.starts());
        starts.filter(|start| start.ts >= horizon).map(|start| &start.country).collect()
    }
}
