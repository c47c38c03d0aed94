//! One session as its rows in `facts` say it, and what they remember of facts that have left.
//!
//! Pure. A fact remembers something earlier of its session that it may outlive (`deploy/schema.cql` says how). When the facts
//! of a session hold nothing of that time any more, it has left.

use std::collections::BTreeSet;

use super::{
    insert::{Earlier, Insert},
    lifetime::{Lifetime, Stamp},
};
use crate::{
    event::{SessionId, UserId},
    session::{Absorbed, Departed, Fact, MAX_FACTS, SessionFacts, SessionKey},
    store::{Known, Sighting},
    timestamp::Timestamp,
};

/// The rows of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// In order, each once. When all are there, the first [`MAX_FACTS`] are the session's; the others were contested.
    facts: Vec<(Stamp, Fact)>,
    remembered: BTreeSet<(Owner, Earlier)>,
}

/// The fact that remembers: whether it is a start, and its time.
type Owner = (bool, Timestamp);

impl Stored {
    pub(super) fn add_fact(&mut self, stamp: Stamp, fact: Fact) {
        let row = (stamp, fact);
        if let Err(place) = self.facts.binary_search(&row) {
            self.facts.insert(place, row);
        }
    }

    pub(super) fn add_remembered(&mut self, fact: &Fact, earlier: Earlier) {
        self.remembered.insert((owner(fact), earlier));
    }

    /// Whether nothing is known of the session: what is remembered beside facts is nothing without them.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Whether the session has as many facts as one may have.
    pub(super) fn is_full(&self) -> bool {
        self.facts.len() >= MAX_FACTS
    }

    fn kept(&self) -> impl Iterator<Item = &(Stamp, Fact)> + Clone {
        self.facts.iter().take(MAX_FACTS)
    }

    pub(super) fn session(&self) -> SessionFacts {
        self.session_with(std::iter::empty())
    }

    fn session_with<'a>(&'a self, others: impl Iterator<Item = &'a Fact>) -> SessionFacts {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for fact in self.kept().map(|(_, fact)| fact).chain(others) {
            match fact {
                Fact::Start(start) => starts.push(start.clone()),
                Fact::End(ts) => ends.push(*ts),
            }
        }
        SessionFacts::new(
            starts,
            ends,
            if self.is_empty() { Departed::default() } else { self.departed() },
        )
    }

    fn departed(&self) -> Departed {
        let mut departed = Departed::default();
        for (_, earlier) in &self.remembered {
            match earlier {
                Earlier::Start(ts) => departed.start |= !self.holds((true, *ts)),
                Earlier::End(ts) => departed.end |= !self.holds((false, *ts)),
            }
        }
        departed
    }

    fn holds(&self, sought: Owner) -> bool {
        self.facts.iter().any(|(_, fact)| owner(fact) == sought)
    }

    /// What `sighting`, written at `stamp` as far as it had something left to live, is answered, and the memories that the
    /// facts need beyond those that come with the rows of their session.
    pub(super) fn known<'a>(
        &self,
        sighting: &'a Sighting,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> (Known, Vec<Insert<'a>>) {
        let late: Vec<&Fact> =
            sighting.facts.iter().filter(|fact| lifetime.of(fact.ts()).is_none()).collect();
        let mut facts = self.session_with(late.iter().copied());
        facts.forget_before(lifetime.beginning());
        let mut seen = BTreeSet::new();
        let absorbed = sighting.facts.iter().map(|fact| {
            match self.kept().find(|(_, kept)| kept == fact) {
                Some((first, _)) if *first != stamp => Absorbed::Known,
                // What is not there although it was written was removed, or its time has come.
                None if self.is_full() && lifetime.of(fact.ts()).is_some() => Absorbed::Contested,
                _ if seen.insert(fact) => Absorbed::New,
                _ => Absorbed::Known,
            }
        });
        let absorbed = absorbed.collect();
        let memories = self.memories(&sighting.key, &late, lifetime);
        (Known { facts, absorbed }, memories)
    }

    /// The memories that are not there yet and that no row of the session brings with it: of a smaller start beside a start, of
    /// a start that has left beside an end, and beside the ends of an orphan of the first of them.
    fn memories<'a>(
        &self,
        key: &'a SessionKey,
        late: &[&Fact],
        lifetime: Lifetime,
    ) -> Vec<Insert<'a>> {
        let held = self.kept().map(|(_, fact)| fact);
        let all = held.clone().chain(late.iter().copied()).map(owner);
        let earliest = |sought: bool| {
            let remembered = self.remembered.iter().map(|(_, earlier)| match earlier {
                Earlier::Start(ts) => (true, *ts),
                Earlier::End(ts) => (false, *ts),
            });
            all.clone()
                .chain(remembered)
                .filter(|(start, _)| *start == sought)
                .map(|(_, ts)| ts)
                .min()
        };
        let mut memories = Vec::new();
        for fact in held {
            let needed = match (fact, earliest(true)) {
                (Fact::Start(start), Some(first)) => {
                    (start.ts > first).then_some(Earlier::Start(first))
                }
                (Fact::End(_), Some(first)) => {
                    (!self.holds((true, first))).then_some(Earlier::Start(first))
                }
                (Fact::Start(_), None) => None,
                (Fact::End(ts), None) => {
                    earliest(false).filter(|first| first < ts).map(Earlier::End)
                }
            };
            let Some((earlier, ttl)) = needed.zip(lifetime.of(fact.ts())) else { continue };
            if !self.remembers(fact, earlier) {
                memories.push(memory((&key.user, &key.session), fact.clone(), earlier, ttl));
            }
        }
        memories
    }

    /// Whether `fact` remembers anything of the kind of `earlier`. Which one does not matter: that one remembers the next.
    fn remembers(&self, fact: &Fact, earlier: Earlier) -> bool {
        self.remembered.iter().any(|(owned, known)| {
            *owned == owner(fact)
                && matches!(
                    (known, earlier),
                    (Earlier::Start(_), Earlier::Start(_)) | (Earlier::End(_), Earlier::End(_))
                )
        })
    }
}

/// The row by which `fact` remembers `earlier`; its write time is a function of its key.
pub(super) fn memory<'a>(
    (user, session): (&'a UserId, &'a SessionId),
    fact: Fact,
    earlier: Earlier,
    ttl: i32,
) -> Insert<'a> {
    let write_time = fact.ts().millis() * 1_000;
    Insert::Fact { user, session, fact, earlier: Some(earlier), write_time, ttl }
}

fn owner(fact: &Fact) -> Owner {
    (matches!(fact, Fact::Start(_)), fact.ts())
}
