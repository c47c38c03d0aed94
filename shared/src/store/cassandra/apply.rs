//! Adding the rows of decisions: where the starts lie first, then everything else at once.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use indexmap::IndexMap;

use super::{
    Shared,
    insert::{Earlier, Insert},
    lifetime::Lifetime,
    pack::{PARTITIONS, Parcel, Placement, ROWS, pack},
    partition::Partition,
    stored::memory,
};
use crate::{
    event::{Country, SessionId, UserId},
    session::Fact,
    store::{Effect, StoreError},
    timestamp::{RETENTION, Timestamp},
};

/// Rows by their partition.
#[derive(Default)]
struct Rows<'a> {
    /// The completed sessions of a user, and what their ends remember.
    users: IndexMap<&'a UserId, Vec<Insert<'a>>>,
    starts: IndexMap<Partition, Vec<Insert<'a>>>,
}

impl Shared {
    pub(super) async fn apply(&self, effects: &[Effect], now: Timestamp) -> Result<(), StoreError> {
        let rows = self.rows(effects, Lifetime::new(now, self.margin_ms), now - RETENTION);
        self.make_known(rows.starts.keys(), Lifetime::new(now, self.margin_ms)).await?;
        let placement = Placement::new(&self.requests.session, &self.keyspace);
        let mut parcels = Vec::new();
        for (user, rows) in rows.users {
            let replicas = placement.replicas("completed_by_user", &(user.as_str(),));
            parcels.extend(parcels_of(rows, replicas));
        }
        let mut starts = Vec::with_capacity(rows.starts.len());
        for (partition, rows) in rows.starts {
            let Partition { country, day, shards, shard } = &partition;
            let key = (country.as_str(), day.cql(), shards, shard);
            let replicas = placement.replicas("starts_by_country", &key);
            starts.push((partition.country, partition.day, rows.len()));
            parcels.extend(parcels_of(rows, replicas));
        }
        let parcels = pack(parcels);
        let mut turns = self.requests.turns().await;
        for rows in parcels {
            turns.begin(self.add(rows)).await?;
        }
        turns.rest().await?;
        for (country, day, rows) in starts {
            self.layouts.written(country, day, rows);
        }
        Ok(())
    }

    async fn add(&self, rows: Vec<Vec<Insert<'_>>>) -> Result<(), StoreError> {
        let rows: Vec<_> = rows.into_iter().flatten().collect();
        self.requests.insert(&rows).await
    }

    fn rows<'a>(&self, effects: &'a [Effect], lifetime: Lifetime, horizon: Timestamp) -> Rows<'a> {
        let mut rows = Rows::default();
        // An end that its start may leave behind remembers one of its starts, the smallest of those named here.
        let mut remembered: BTreeMap<(&UserId, &SessionId, Timestamp), Timestamp> = BTreeMap::new();
        for effect in effects {
            let marker =
                matches!(effect, Effect::SupersedeStart(_) | Effect::SupersedeCompleted(_));
            let ttl = lifetime.of(effect.started_at()).filter(|_| effect.started_at() >= horizon);
            match effect {
                Effect::RecordStart(row) | Effect::SupersedeStart(row) => {
                    let Some(ttl) = ttl else { continue };
                    let partition = self.layouts.choose(row);
                    let insert = Insert::Start { row, partition: partition.clone(), marker, ttl };
                    rows.starts.entry(partition).or_default().push(insert);
                }
                Effect::Complete(row) | Effect::SupersedeCompleted(row) => {
                    // Also for a session that is not listed any more: without it, its end would come back as an orphan.
                    if lifetime.parts(row.started_at, row.ended_at) {
                        let end = (&row.user, &row.session, row.ended_at);
                        let start = remembered.entry(end).or_insert(row.started_at);
                        *start = row.started_at.min(*start);
                    }
                    let Some(ttl) = ttl else { continue };
                    let insert = Insert::Completed { row, marker, ttl };
                    rows.users.entry(&row.user).or_default().push(insert);
                }
            }
        }
        for ((user, session, ended_at), started_at) in remembered {
            if let Some(ttl) = lifetime.of(ended_at) {
                let memory =
                    memory((user, session), Fact::End(ended_at), Earlier::Start(started_at), ttl);
                rows.users.entry(user).or_default().push(memory);
            }
        }
        rows
    }

    /// Writes, for partitions that this process has not written to yet, that they exist, and for their countries the newest
    /// day: before the first start, so that there is none that a reader does not find.
    async fn make_known(
        &self,
        partitions: impl Iterator<Item = &Partition>,
        lifetime: Lifetime,
    ) -> Result<(), StoreError> {
        let new: Vec<_> =
            partitions.filter(|partition| self.partitions.get(*partition).is_none()).collect();
        let mut rows: Vec<Insert<'_>> = Vec::new();
        let mut newest: BTreeMap<&Country, _> = BTreeMap::new();
        for partition in &new {
            // Until the last start of the day has left.
            let Some(ttl) = lifetime.of(partition.day.ends()) else { continue };
            rows.push(Insert::Partition { partition: (*partition).clone(), ttl });
            if self.countries.get(&partition.country).is_none_or(|day| day < partition.day) {
                let newest = newest.entry(&partition.country).or_insert((partition.day, ttl));
                *newest = (partition.day, ttl).max(*newest);
            }
        }
        let countries = newest.iter().map(|(country, (day, ttl))| Insert::Country {
            country: (*country).clone(),
            day: *day,
            ttl: *ttl,
        });
        rows.extend(countries);
        try_join_all(rows.chunks(PARTITIONS).map(|rows| self.requests.insert(rows))).await?;
        for partition in new {
            self.partitions.update(partition, |_| ());
        }
        for (country, (day, _)) in newest {
            self.countries.update(country, |known| known.map_or(day, |known| known.max(day)));
        }
        Ok(())
    }
}

/// Rows of one partition, in requests of a bounded size.
fn parcels_of(
    rows: Vec<Insert<'_>>,
    replicas: u128,
) -> impl Iterator<Item = Parcel<Vec<Insert<'_>>>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let contents: Vec<_> = rows.by_ref().take(ROWS).collect();
        let bytes = contents.iter().map(Insert::size).sum();
        (!contents.is_empty()).then_some(Parcel { replicas, bytes, contents })
    })
}
