//! One session as its rows in `facts` describe it, including the facts that have expired.
//!
//! Pure. A fact can refer to an earlier fact of its session that it may outlive, as
//! `deploy/schema.cql` explains. When the session has no fact of the time referred to, the earlier
//! fact has expired.

use std::{collections::BTreeSet, mem};

use super::{
    super::{
        insert::{Earlier, Insert},
        lifetime::Lifetime,
    },
    stamp::Stamp,
};
use crate::{
    event::{SessionId, UserId},
    session::{Absorbed, Departed, Fact, MAX_FACTS, SessionFacts, SessionKey},
    store::{Known, Sighting},
    timestamp::Timestamp,
};

/// The rows of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredSession {
    /// Ordered by stamp, without repetitions. The first [`MAX_FACTS`] belong to the session; the
    /// others are contested.
    facts: Vec<(Stamp, Fact)>,
    references: BTreeSet<(Owner, Earlier)>,
}

/// The fact that a reference belongs to: whether it is a start, and its time.
type Owner = (bool, Timestamp);

impl StoredSession {
    pub(super) fn add_fact(&mut self, stamp: Stamp, fact: Fact) {
        let row = (stamp, fact);
        if let Err(place) = self.facts.binary_search(&row) {
            self.facts.insert(place, row);
        }
    }

    pub(super) fn add_reference(&mut self, fact: &Fact, earlier: Earlier) {
        self.references.insert((owner(fact), earlier));
    }

    /// Whether the session has no facts. References without a fact do not count.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Whether the session has [`MAX_FACTS`] facts.
    pub(super) fn is_full(&self) -> bool {
        self.facts.len() >= MAX_FACTS
    }

    fn kept(&self) -> impl Iterator<Item = &(Stamp, Fact)> + Clone {
        self.facts.iter().take(MAX_FACTS)
    }

    pub(super) fn facts(&self) -> SessionFacts {
        self.facts_with(std::iter::empty())
    }

    fn facts_with<'a>(&'a self, others: impl Iterator<Item = &'a Fact>) -> SessionFacts {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for fact in self.kept().map(|(_, fact)| fact).chain(others) {
            match fact {
                Fact::Start(start) => starts.push(start.clone()),
                Fact::End(ts) => ends.push(*ts),
            }
        }
        let departed = if self.is_empty() { Departed::default() } else { self.departed() };
        SessionFacts::new(starts, ends, departed)
    }

    fn departed(&self) -> Departed {
        let gone = |start| self.referred().any(|fact| fact.0 == start && !self.has(fact));
        Departed { start: gone(true), end: gone(false) }
    }

    /// The earlier facts that the references name.
    fn referred(&self) -> impl Iterator<Item = Owner> {
        self.references.iter().map(|(_, earlier)| match earlier {
            Earlier::Start(ts) => (true, *ts),
            Earlier::End(ts) => (false, *ts),
        })
    }

    fn has(&self, sought: Owner) -> bool {
        self.facts.iter().any(|(_, fact)| owner(fact) == sought)
    }

    /// The result for `sighting`, whose facts were written with `stamp` unless they had expired,
    /// and the references that the facts still need.
    pub(super) fn known<'a>(
        &self,
        sighting: &'a Sighting,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> (Known, Vec<Insert<'a>>) {
        let expired: Vec<&Fact> =
            sighting.facts.iter().filter(|fact| lifetime.ttl(fact.ts()).is_none()).collect();
        let mut facts = self.facts_with(expired.iter().copied());
        facts.forget_before(lifetime.earliest());
        let mut seen = BTreeSet::new();
        let absorbed = sighting.facts.iter().map(|fact| {
            match self.kept().find(|(_, kept)| kept == fact) {
                Some((first, _)) if *first != stamp => Absorbed::Known,
                None if self.is_full() && lifetime.ttl(fact.ts()).is_some() => Absorbed::Contested,
                // A fact that was written but not found was deleted or has expired since.
                _ if seen.insert(fact) => Absorbed::New,
                _ => Absorbed::Known,
            }
        });
        let absorbed = absorbed.collect();
        let references = self.missing_references(&sighting.key, &expired, lifetime);
        (Known { facts, absorbed }, references)
    }

    /// The references that neither exist nor are written with other rows of the session: from a
    /// start to a smaller start, from an end to an expired start, and from the ends of an orphan to
    /// its first end.
    fn missing_references<'a>(
        &self,
        key: &'a SessionKey,
        expired: &[&Fact],
        lifetime: Lifetime,
    ) -> Vec<Insert<'a>> {
        let kept = self.kept().map(|(_, fact)| fact);
        let all = kept.clone().chain(expired.iter().copied()).map(owner);
        let earliest = |sought: bool| {
            let same_kind =
                all.clone().chain(self.referred()).filter(|(start, _)| *start == sought);
            same_kind.map(|(_, ts)| ts).min()
        };
        let mut references = Vec::new();
        for fact in kept {
            let needed = match (fact, earliest(true)) {
                (Fact::Start(start), Some(first)) => {
                    (start.ts > first).then_some(Earlier::Start(first))
                }
                (Fact::End(_), Some(first)) => {
                    (!self.has((true, first))).then_some(Earlier::Start(first))
                }
                (Fact::Start(_), None) => None,
                (Fact::End(ts), None) => {
                    earliest(false).filter(|first| first < ts).map(Earlier::End)
                }
            };
            let Some((earlier, ttl)) = needed.zip(lifetime.ttl(fact.ts())) else { continue };
            if !self.refers(fact, earlier) {
                references.push(reference((&key.user, &key.session), fact.clone(), earlier, ttl));
            }
        }
        references
    }

    /// Whether `fact` refers to any fact of the kind of `earlier`. One is enough: the fact that it
    /// refers to refers to the next.
    fn refers(&self, fact: &Fact, earlier: Earlier) -> bool {
        let kind = mem::discriminant(&earlier);
        let mut all = self.references.iter();
        all.any(|(owned, known)| *owned == owner(fact) && mem::discriminant(known) == kind)
    }
}

/// The row that lets `fact` refer to `earlier`. Its write time is a function of its key.
pub(crate) fn reference<'a>(
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
