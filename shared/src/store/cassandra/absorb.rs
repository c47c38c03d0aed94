//! Adding facts: written, acknowledged, and only then read back.
//!
//! The sessions of a few users make a unit, with one request to write and one to read; units go their way at once, each at
//! its own pace. A write and the read behind it are never under way together: that would lose sessions.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;
use indexmap::IndexMap;

use super::{
    Shared,
    insert::Insert,
    lifetime::{Lifetime, Stamp},
    pack::{Parcel, Placement, ROWS, pack},
    stored::Stored,
};
use crate::{
    event::UserId,
    session::{Fact, MAX_FACTS, SessionKey},
    store::{Known, Sighting, StoreError},
    timestamp::Timestamp,
};

impl Shared {
    pub(super) async fn absorb(
        &self,
        sightings: &[Sighting],
        now: Timestamp,
    ) -> Result<Vec<Known>, StoreError> {
        let (stamp, lifetime) = (self.stamps.next(), Lifetime::new(now, self.margin_ms));
        let mut known = vec![Known::default(); sightings.len()];
        let mut answer = |answers: Vec<(usize, Known)>| {
            for (place, answer) in answers {
                known[place] = answer;
            }
        };
        let units = self.units(sightings);
        let mut turns = self.requests.turns().await;
        for unit in units {
            turns.begin(self.absorb_unit(unit, stamp, lifetime)).await?.map(&mut answer);
        }
        turns.rest().await?.into_iter().for_each(answer);
        Ok(known)
    }

    /// Sightings with their places, those of one user together.
    fn units<'a>(&self, sightings: &'a [Sighting]) -> Vec<Vec<(usize, &'a Sighting)>> {
        let mut by_user: IndexMap<&UserId, Vec<(usize, &Sighting)>> = IndexMap::new();
        for (place, sighting) in sightings.iter().enumerate() {
            by_user.entry(&sighting.key.user).or_default().push((place, sighting));
        }
        let placement = Placement::new(&self.requests.session, &self.keyspace);
        let mut parcels = Vec::new();
        for (user, same) in &by_user {
            for some in same.chunks(ROWS) {
                let size = |(_, Sighting { key, facts }): &(usize, &Sighting)| -> usize {
                    facts
                        .iter()
                        .take(MAX_FACTS)
                        .map(|fact| Insert::size_of_fact(&key.session, fact))
                        .sum()
                };
                parcels.push(Parcel {
                    replicas: placement.replicas("facts", &(user.as_str(),)),
                    bytes: some.iter().map(size).sum(),
                    contents: some.to_vec(),
                });
            }
        }
        pack(parcels).into_iter().map(|unit| unit.into_iter().flatten().collect()).collect()
    }

    async fn absorb_unit(
        &self,
        unit: Vec<(usize, &Sighting)>,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> Result<Vec<(usize, Known)>, StoreError> {
        loop {
            let mut full = Vec::new();
            let mut rows = Vec::with_capacity(unit.len());
            for (_, sighting) in &unit {
                if self.full.get(&sighting.key).is_some() {
                    full.push(&sighting.key);
                } else {
                    rows.extend(fact_rows(sighting, stamp, lifetime));
                }
            }
            self.insert_all(rows).await?;
            let sessions = self.read_back(&unit).await?;
            // A session that was full may have lost facts to retention; then there is room for more.
            full.retain(|key| !sessions.get(key).is_some_and(Stored::is_full));
            if full.is_empty() {
                return self.answer(&unit, &sessions, stamp, lifetime).await;
            }
            for key in full {
                self.full.forget(key);
            }
        }
    }

    async fn answer(
        &self,
        unit: &[(usize, &Sighting)],
        sessions: &HashMap<SessionKey, Stored>,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> Result<Vec<(usize, Known)>, StoreError> {
        let nothing = Stored::default();
        let (mut answers, mut memories) = (Vec::with_capacity(unit.len()), Vec::new());
        for (place, sighting) in unit {
            let stored = sessions.get(&sighting.key).unwrap_or(&nothing);
            if stored.is_full() {
                self.full.update(&sighting.key, |_| ());
            }
            let (known, needed) = stored.known(sighting, stamp, lifetime);
            answers.push((*place, known));
            memories.extend(needed);
        }
        self.insert_all(memories).await?;
        Ok(answers)
    }

    /// The sessions of a unit as all of their rows say them.
    async fn read_back(
        &self,
        unit: &[(usize, &Sighting)],
    ) -> Result<HashMap<SessionKey, Stored>, StoreError> {
        let keys = || unit.iter().map(|(_, sighting)| &sighting.key);
        let mut users: Vec<_> = keys().map(|key| key.user.as_str()).collect();
        let mut sessions: Vec<_> = keys().map(|key| key.session.as_str()).collect();
        // They come by user.
        users.dedup();
        sessions.sort_unstable();
        sessions.dedup();
        let statements = &self.requests.statements;
        let found = if let [user] = users[..] {
            self.requests.whole_sessions(&statements.facts_of_user, &(user, sessions)).await?
        } else {
            self.requests.whole_sessions(&statements.facts_of_users, &(users, sessions)).await?
        };
        Ok(found.into_iter().collect())
    }

    /// Adds rows of a unit: of several partitions only when they are few.
    async fn insert_all(&self, rows: Vec<Insert<'_>>) -> Result<(), StoreError> {
        try_join_all(rows.chunks(ROWS).map(|rows| self.requests.insert(rows))).await?;
        Ok(())
    }
}

/// The rows of a sighting's facts that have something left to live, each once, and no more than a session may have.
fn fact_rows(
    sighting: &Sighting,
    stamp: Stamp,
    lifetime: Lifetime,
) -> impl Iterator<Item = Insert<'_>> {
    let mut seen: BTreeSet<&Fact> = BTreeSet::new();
    let facts = sighting.facts.iter().filter(move |fact| seen.insert(fact));
    let living = facts.filter_map(move |fact| Some((fact, lifetime.of(fact.ts())?)));
    living.take(MAX_FACTS).map(move |(fact, ttl)| Insert::Fact {
        user: &sighting.key.user,
        session: &sighting.key.session,
        fact: fact.clone(),
        earlier: None,
        write_time: stamp.write_time(fact.ts()),
        ttl,
    })
}
