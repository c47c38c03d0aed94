//! Adds facts: writes them, waits for the acknowledgement, then reads their sessions back.
//!
//! The sessions of a few users on the same replicas form a unit, with one write and one read. Units
//! run concurrently, but the write and the read of one unit never overlap: sessions would be lost.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::{
    super::{
        CassandraStore,
        driver::Requests,
        insert::Insert,
        lifetime::Lifetime,
        units::{PartitionRows, Placement, ROWS, group},
    },
    stamp::Stamp,
    stored::StoredSession,
};
use crate::{
    event::UserId,
    session::{Fact, MAX_FACTS, SessionKey},
    store::{Known, Result, Sighting},
    timestamp::Timestamp,
};

impl CassandraStore {
    pub(in crate::store) async fn absorb(
        &self,
        sightings: &[Sighting],
        now: Timestamp,
    ) -> Result<Vec<Known>> {
        let (stamp, lifetime) = (self.stamps.next(), Lifetime::new(now, self.margin_ms));
        let mut known = vec![Known::default(); sightings.len()];
        let mut collect = |results: Vec<(usize, Known)>| {
            for (place, result) in results {
                known[place] = result;
            }
        };
        let requests = self.requests()?;
        let units = self.units(requests, sightings);
        let mut step = requests.step().await;
        for unit in units {
            step.issue(self.absorb_unit(unit, stamp, lifetime)).await?.map(&mut collect);
        }
        step.finish().await?.into_iter().for_each(collect);
        Ok(known)
    }

    /// Groups sightings into units. Each sighting keeps its place; those of one user are adjacent.
    fn units<'a>(
        &self,
        requests: &Requests,
        sightings: &'a [Sighting],
    ) -> Vec<Vec<(usize, &'a Sighting)>> {
        let mut by_user: IndexMap<&UserId, Vec<(usize, &Sighting)>> = IndexMap::new();
        for (place, sighting) in sightings.iter().enumerate() {
            by_user.entry(&sighting.key.user).or_default().push((place, sighting));
        }
        let placement = Placement::new(&requests.session, &self.keyspace);
        let size = |(_, Sighting { key, facts }): &(usize, &Sighting)| -> usize {
            let facts = facts.iter().take(MAX_FACTS);
            facts.map(|fact| Insert::size_of_fact(&key.session, fact)).sum()
        };
        let mut partitions = Vec::new();
        for (user, of_user) in &by_user {
            for some in of_user.chunks(ROWS) {
                partitions.push(PartitionRows {
                    replicas: placement.replicas("facts", &(user.as_str(),)),
                    bytes: some.iter().map(size).sum(),
                    rows: some.to_vec(),
                });
            }
        }
        group(partitions).into_iter().map(|unit| unit.into_iter().flatten().collect()).collect()
    }

    async fn absorb_unit(
        &self,
        unit: Vec<(usize, &Sighting)>,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> Result<Vec<(usize, Known)>> {
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
            // Usually one request.
            self.requests()?.insert_all(&rows, ROWS).await?;
            let sessions = self.read_back(&unit).await?;
            // Facts of a full session may have expired since; then it accepts facts again.
            full.retain(|key| !sessions.get(key).is_some_and(StoredSession::is_full));
            if full.is_empty() {
                return self.results(&unit, &sessions, stamp, lifetime).await;
            }
            for key in full {
                self.full.forget(key);
            }
        }
    }

    async fn results(
        &self,
        unit: &[(usize, &Sighting)],
        sessions: &HashMap<SessionKey, StoredSession>,
        stamp: Stamp,
        lifetime: Lifetime,
    ) -> Result<Vec<(usize, Known)>> {
        let nothing = StoredSession::default();
        let (mut results, mut references) = (Vec::with_capacity(unit.len()), Vec::new());
        for (place, sighting) in unit {
            let stored = sessions.get(&sighting.key).unwrap_or(&nothing);
            if stored.is_full() {
                self.full.update(&sighting.key, |_| ());
            }
            let (known, missing) = stored.known(sighting, stamp, lifetime);
            results.push((*place, known));
            references.extend(missing);
        }
        self.requests()?.insert_all(&references, ROWS).await?;
        Ok(results)
    }

    /// Reads the sessions of a unit with all of their rows.
    async fn read_back(
        &self,
        unit: &[(usize, &Sighting)],
    ) -> Result<HashMap<SessionKey, StoredSession>> {
        let keys = || unit.iter().map(|(_, sighting)| &sighting.key);
        let mut users: Vec<_> = keys().map(|key| key.user.as_str()).collect();
        let mut sessions: Vec<_> = keys().map(|key| key.session.as_str()).collect();
        // The sightings of one user are adjacent.
        users.dedup();
        sessions.sort_unstable();
        sessions.dedup();
        let statements = &self.requests()?.statements;
        let found = if let [user] = users[..] {
            self.read_unit(&statements.facts_of_user, &(user, sessions)).await?
        } else {
            self.read_unit(&statements.facts_of_users, &(users, sessions)).await?
        };
        Ok(found.into_iter().collect())
    }
}

/// The rows of a sighting's facts: only those that have not expired, each fact once, and at most as
/// many as a session can have.
fn fact_rows(
    sighting: &Sighting,
    stamp: Stamp,
    lifetime: Lifetime,
) -> impl Iterator<Item = Insert<'_>> {
    let mut seen: BTreeSet<&Fact> = BTreeSet::new();
    let facts = sighting.facts.iter().filter(move |fact| seen.insert(fact));
    let living = facts.filter_map(move |fact| Some((fact, lifetime.ttl(fact.ts())?)));
    living.take(MAX_FACTS).map(move |(fact, ttl)| Insert::Fact {
        user: &sighting.key.user,
        session: &sighting.key.session,
        fact: fact.clone(),
        earlier: None,
        write_time: stamp.write_time(fact.ts()),
        ttl,
    })
}
