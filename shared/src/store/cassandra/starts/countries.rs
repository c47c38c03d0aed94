//! The table `countries`: the countries with a start since a horizon.

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::{
    response::PagingState,
    value::{CqlDate, CqlTimestamp},
};

use super::{
    super::{
        CassandraStore,
        driver::{Caller, paged, read_rows},
    },
    partition::{Day, Partition},
};
use crate::{
    event::Country,
    store::{Result, StoreError},
    timestamp::Timestamp,
};

/// Number of countries whose newest start is read concurrently.
const COUNTRIES_AHEAD: usize = 16;

impl CassandraStore {
    pub(in crate::store) async fn countries(
        &self,
        horizon: Timestamp,
        after: Option<Country>,
        limit: usize,
    ) -> Result<Vec<(Country, Timestamp)>> {
        let (requests, mut from) = (self.requests()?, Some(PagingState::start()));
        let statement = paged(&requests.statements.countries, limit);
        let after = after.as_ref().map_or("", Country::as_str);
        let mut known = Vec::new();
        while known.len() < limit
            && let Some(state) = from
        {
            let (rows, next) = requests.page(Caller::Range, &statement, &(after,), state).await?;
            let mut page = Vec::new();
            read_rows("countries", &rows, |(country, day): &(&str, CqlDate)| {
                page.push((Country::stored(country)?, Day::from_cql(*day)?));
                Some(())
            })?;
            known.extend(self.since(horizon, page).await?);
            from = next;
        }
        known.truncate(limit);
        Ok(known)
    }

    /// Those of `countries`, each with its newest day, that have a start at or after `horizon`.
    async fn since(
        &self,
        horizon: Timestamp,
        countries: Vec<(Country, Day)>,
    ) -> Result<Vec<(Country, Timestamp)>> {
        // Only a country whose newest day is the day of the horizon needs a read of its starts.
        let edge = Day::of(horizon);
        let checked = stream::iter(countries).map(|(country, newest)| async move {
            let is_known = newest > edge
                || newest == edge
                    && self.newest_start(country.clone(), edge).await? >= Some(horizon);
            Ok::<_, StoreError>(is_known.then_some((country, newest.ends())))
        });
        checked
            .buffered(COUNTRIES_AHEAD)
            .try_filter_map(|country| async { Ok(country) })
            .try_collect()
            .await
    }

    /// Time of the newest start of a country's day, superseded or not.
    async fn newest_start(&self, country: Country, day: Day) -> Result<Option<Timestamp>> {
        let (requests, mut newest) = (self.requests()?, None);
        let mut days = std::pin::pin!(self.days(country, day.ends(), day.begins()));
        while let Some(partitions) = days.try_next().await? {
            for Partition { country, day, shards, shard } in partitions {
                let statement = &requests.statements.newest_start;
                let values = (country.as_str(), day.cql(), shards, shard);
                let from = PagingState::start();
                let (rows, _) = requests.page(Caller::Range, statement, &values, from).await?;
                read_rows("starts_by_country", &rows, |(ts,): &(CqlTimestamp,)| {
                    newest = newest.max(Some(Timestamp::from_millis(ts.0)?));
                    Some(())
                })?;
            }
        }
        Ok(newest)
    }
}
