//! The table `starts_by_country`: lists and counts of a country's starts, day by day.
//!
//! The newest day comes first. A few days are read ahead when one day is not enough. A day is cut
//! into up to thousands of partitions, so the rows that a read holds are bounded for the whole day.

use std::{collections::BTreeMap, sync::Arc};

use async_stream::try_stream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use self::merge::{Merge, Paging};
pub(super) use self::{
    layouts::Layouts,
    partition::{Day, Partition},
};
use super::{CassandraStore, driver::page_rows};
use crate::{
    event::Country,
    session::SessionStart,
    store::{Result, StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

mod countries;
mod days;
mod layouts;
mod merge;
mod partition;
mod read;

/// Number of days of a country that are read concurrently.
const DAYS_AHEAD: usize = 6;
/// Number of rows that a stream holds: 16 MB of the largest ones, which have two ids of 128 bytes.
const ROWS: usize = 50_000;
/// Number of countries whose days are looked up concurrently, and of days that are counted
/// concurrently.
const COUNTED_AHEAD: usize = 16;

impl CassandraStore {
    pub(in crate::store) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>> {
        let mut starts: Vec<SessionStart> = Vec::new();
        let newest = newest(window, after.as_ref());
        if limit == 0 || newest < window.from {
            return Ok(starts);
        }
        let after = after.as_ref();
        let days = self.days(country.clone(), newest, window.from).map_ok(|partitions| {
            Box::pin(async move {
                let rows = limit.saturating_mul(2) / partitions.len().max(1);
                let paging = Paging { rows: rows.saturating_add(1), ahead: false };
                let mut merge =
                    Merge::open(self.requests()?, partitions, window, after, paging).await?;
                let mut starts = Vec::new();
                while starts.len() < limit
                    && let Some((ts, session, user)) = merge.next().await?
                {
                    starts.push(SessionStart { user, session, country: country.clone(), ts });
                }
                Ok::<_, StoreError>(starts)
            })
        });
        let mut days = std::pin::pin!(days);
        // One day is often enough, so nothing is read ahead before the first day is exhausted.
        if let Some(first) = days.try_next().await? {
            starts = first.await?;
        }
        let mut days = days.try_buffered(DAYS_AHEAD);
        while starts.len() < limit
            && let Some(more) = days.try_next().await?
        {
            starts.extend(more);
        }
        starts.truncate(limit);
        Ok(starts)
    }

    /// One merge stays open for the whole stream: opened again, it would read the first rows of
    /// every partition again.
    pub(in crate::store) fn all_starts(
        self: Arc<Self>,
        country: Country,
        window: Window,
        after: Option<StartPosition>,
        size: usize,
        most: usize,
    ) -> impl Stream<Item = Result<Vec<SessionStart>>> + Send {
        try_stream! {
            let newest = newest(window, after.as_ref());
            if newest < window.from {
                return;
            }
            // A day holds one page of each partition and half of the next one. The day after it
            // already holds its first pages.
            let rows = (ROWS * 2 / 5).min(most);
            let days = self.days(country.clone(), newest, window.from).map_ok(|partitions| {
                let paging = Paging { rows: page(rows, partitions.len()), ahead: true };
                let (requests, after) = (self.requests(), after.as_ref());
                async move { Merge::open(requests?, partitions, window, after, paging).await }
            });
            let mut days = std::pin::pin!(days.try_buffered(2));
            let mut starts = Vec::new();
            while let Some(mut day) = days.try_next().await? {
                while let Some((ts, session, user)) = day.next().await? {
                    starts.push(SessionStart { user, session, country: country.clone(), ts });
                    if starts.len() == size {
                        yield std::mem::take(&mut starts);
                    }
                }
            }
            if !starts.is_empty() {
                yield starts;
            }
        }
    }

    pub(in crate::store) async fn count_starts(
        &self,
        countries: Vec<Country>,
        window: Window,
        step: i64,
    ) -> Result<Vec<BTreeMap<Timestamp, u64>>> {
        let held = Semaphore::new(ROWS / 2);
        let counted = vec![BTreeMap::new(); countries.len()];
        let of_country = |(place, country)| {
            let days = self.days(country, window.to - 1, window.from);
            Box::pin(days.map_ok(move |partitions| (place, partitions)))
        };
        let days = stream::iter(countries.into_iter().enumerate().map(of_country))
            .flatten_unordered(COUNTED_AHEAD);
        let slots = days.map_ok(|(place, partitions)| {
            let held = &held;
            async move {
                let rows = page(ROWS / 3, partitions.len());
                let all = (rows * partitions.len() * 3 / 2).min(ROWS / 2);
                // The semaphore is never closed.
                let _held = held.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await.ok();
                let paging = Paging { rows, ahead: true };
                let mut merge =
                    Merge::open(self.requests()?, partitions, window, None, paging).await?;
                let mut slots: BTreeMap<Timestamp, u64> = BTreeMap::new();
                while let Some((ts, ..)) = merge.next().await? {
                    *slots.entry(ts.floor(step)).or_default() += 1;
                }
                Ok((place, slots))
            }
        });
        slots
            .try_buffer_unordered(COUNTED_AHEAD)
            .try_fold(counted, |mut counted, (place, slots)| async move {
                for (slot, starts) in slots {
                    *counted[place].entry(slot).or_default() += starts;
                }
                Ok(counted)
            })
            .await
    }
}

/// The newest time that a start in `window` and after `after` can have.
fn newest(window: Window, after: Option<&StartPosition>) -> Timestamp {
    after.map_or(window.to - 1, |after| after.ts.min(window.to - 1))
}

/// The number of rows per page if so many partitions together may hold `rows`.
fn page(rows: usize, partitions: usize) -> usize {
    page_rows(rows / partitions.max(1))
}
