//! Adds the rows of decisions: first the partitions of new starts, then all other rows
//! concurrently.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{
    CassandraStore,
    facts::reference,
    insert::{Earlier, Insert},
    lifetime::Lifetime,
    starts::Partition,
    units::{PARTITIONS, PartitionRows, Placement, ROWS, group},
};
use crate::{
    event::{Country, SessionId, UserId},
    session::Fact,
    store::{Effect, Result},
    timestamp::{RETENTION, Timestamp},
};

/// Rows by partition.
#[derive(Default)]
struct Rows<'a> {
    /// The completed sessions of a user, and the references of their ends.
    users: IndexMap<&'a UserId, Vec<Insert<'a>>>,
    starts: IndexMap<Partition, Vec<Insert<'a>>>,
}

impl CassandraStore {
    pub(in crate::store) async fn apply(&self, effects: &[Effect], now: Timestamp) -> Result<()> {
        let requests = self.requests()?;
        let lifetime = Lifetime::new(now, self.margin_ms);
        let rows = self.rows(effects, lifetime, now - RETENTION);
        self.list_partitions(rows.starts.keys(), lifetime).await?;
        let placement = Placement::new(&requests.session, &self.keyspace);
        let mut partitions = Vec::new();
        for (user, rows) in rows.users {
            let replicas = placement.replicas("completed_by_user", &(user.as_str(),));
            partitions.extend(chunks(rows, replicas));
        }
        let mut starts = Vec::with_capacity(rows.starts.len());
        for (partition, rows) in rows.starts {
            let Partition { country, day, shards, shard } = &partition;
            let key = (country.as_str(), day.cql(), shards, shard);
            let replicas = placement.replicas("starts_by_country", &key);
            starts.push((partition.country, partition.day, rows.len()));
            partitions.extend(chunks(rows, replicas));
        }
        let mut step = requests.step().await;
        for rows in group(partitions) {
            let rows: Vec<_> = rows.into_iter().flatten().collect();
            step.issue(async move { requests.insert(&rows).await }).await?;
        }
        step.finish().await?;
        for (country, day, rows) in starts {
            self.layouts.written(country, day, rows);
        }
        Ok(())
    }

    fn rows<'a>(&self, effects: &'a [Effect], lifetime: Lifetime, horizon: Timestamp) -> Rows<'a> {
        let mut rows = Rows::default();
        // An end that can outlive its start refers to the smallest of the starts named here.
        let mut references: BTreeMap<(&UserId, &SessionId, Timestamp), Timestamp> = BTreeMap::new();
        for effect in effects {
            let marker =
                matches!(effect, Effect::SupersedeStart(_) | Effect::SupersedeCompleted(_));
            let started_at = effect.started_at();
            let ttl = lifetime.ttl(started_at).filter(|_| started_at >= horizon);
            match effect {
                Effect::RecordStart(row) | Effect::SupersedeStart(row) => {
                    let Some(ttl) = ttl else { continue };
                    let partition = self.layouts.choose(row);
                    let insert = Insert::Start { row, partition: partition.clone(), marker, ttl };
                    rows.starts.entry(partition).or_default().push(insert);
                }
                Effect::Complete(row) | Effect::SupersedeCompleted(row) => {
                    // Also for a session too old to be listed: without the reference, its end would
                    // become an orphan.
                    if lifetime.can_outlive(row.ended_at, row.started_at) {
                        let end = (&row.user, &row.session, row.ended_at);
                        let start = references.entry(end).or_insert(row.started_at);
                        *start = row.started_at.min(*start);
                    }
                    let Some(ttl) = ttl else { continue };
                    let insert = Insert::Completed { row, marker, ttl };
                    rows.users.entry(&row.user).or_default().push(insert);
                }
            }
        }
        for ((user, session, ended_at), started_at) in references {
            if let Some(ttl) = lifetime.ttl(ended_at) {
                let (end, start) = (Fact::End(ended_at), Earlier::Start(started_at));
                let row = reference((user, session), end, start, ttl);
                rows.users.entry(user).or_default().push(row);
            }
        }
        rows
    }

    /// Lists the partitions that this process has not written to yet, and the newest day of their
    /// countries. This happens before the first start is written, so readers find every start.
    async fn list_partitions(
        &self,
        partitions: impl Iterator<Item = &Partition>,
        lifetime: Lifetime,
    ) -> Result<()> {
        let new: Vec<_> =
            partitions.filter(|partition| self.partitions.get(*partition).is_none()).collect();
        let mut rows: Vec<Insert<'_>> = Vec::new();
        let mut newest: BTreeMap<&Country, _> = BTreeMap::new();
        for partition in &new {
            // The row lives as long as the last start of the day.
            let Some(ttl) = lifetime.ttl(partition.day.ends()) else { continue };
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
        self.requests()?.insert_all(&rows, PARTITIONS).await?;
        for partition in new {
            self.partitions.update(partition, |_| ());
        }
        for (country, (day, _)) in newest {
            self.countries.update(country, |known| known.map_or(day, |known| known.max(day)));
        }
        Ok(())
    }
}

/// Splits the rows of one partition into requests of a bounded number of rows.
fn chunks(
    rows: Vec<Insert<'_>>,
    replicas: u128,
) -> impl Iterator<Item = PartitionRows<Vec<Insert<'_>>>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let rows: Vec<_> = rows.by_ref().take(ROWS).collect();
        let bytes = rows.iter().map(Insert::size).sum();
        (!rows.is_empty()).then_some(PartitionRows { replicas, bytes, rows })
    })
}
