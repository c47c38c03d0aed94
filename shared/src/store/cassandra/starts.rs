//! The table `starts_by_country`: lists and counts of a country's starts, day by day.
//!
//! The newest day comes first. A few days are read ahead when one day is not enough.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::CassandraStore;
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

use self::merge::Merge;
pub(super) use self::{
    layouts::Layouts,
    partition::{Day, Partition},
};

/// Number of days of a country that are read concurrently.
const DAYS_AHEAD: usize = 6;
/// Number of rows per read of a day whose starts are all counted.
const COUNTED_ROWS: usize = 1_000;

impl CassandraStore {
    pub(in crate::store) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>> {
        let mut starts: Vec<SessionStart> = Vec::new();
        let newest = after.as_ref().map_or(window.to - 1, |after| after.ts.min(window.to - 1));
        if limit == 0 || newest < window.from {
            return Ok(starts);
        }
        let after = after.as_ref();
        let days = self.days(country, newest, window.from).map_ok(|partitions| {
            Box::pin(async move {
                let mut merge =
                    Merge::open(self.requests()?, partitions, window, after, limit).await?;
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

    pub(in crate::store) async fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>> {
        let days = self.days(country, window.to - 1, window.from).map_ok(|partitions| async move {
            let mut merge =
                Merge::open(self.requests()?, partitions, window, None, COUNTED_ROWS).await?;
            let mut slots: BTreeMap<Timestamp, u64> = BTreeMap::new();
            while let Some((ts, ..)) = merge.next().await? {
                *slots.entry(ts.floor(step)).or_default() += 1;
            }
            Ok(slots)
        });
        let counted =
            days.try_buffered(DAYS_AHEAD).try_fold(BTreeMap::new(), |mut all, slots| async {
                for (slot, starts) in slots {
                    *all.entry(slot).or_default() += starts;
                }
                Ok(all)
            });
        counted.await
    }
}
