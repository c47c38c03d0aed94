//! Answering from the starts of a country: day by day, the newest first, a few days at once when one is not enough.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use scylla::{response::PagingState, value::CqlDate, value::CqlTimestamp};

use super::{
    Shared, corrupt,
    listing::paged,
    merge::Merge,
    partition::{Day, Partition},
    request::For,
};
use crate::{
    event::Country,
    session::SessionStart,
    store::{StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

/// How many days of a country are read at once.
const DAYS_AHEAD: usize = 6;
/// How many countries are looked at at once.
const COUNTRIES_AHEAD: usize = 16;
/// How many rows are read at once of a day of which all are counted.
const COUNTED_ROWS: usize = 1_000;
/// How many partitions are named by a page.
const PARTITION_ROWS: usize = 128;

/// The partitions of a country's days, the newest first.
struct Days<'a> {
    store: &'a Shared,
    country: &'a Country,
    /// The newest and the oldest day.
    span: (Day, Day),
    found: VecDeque<Partition>,
    /// From where to ask for more.
    next: Option<PagingState>,
}

impl Shared {
    pub(super) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>, StoreError> {
        let mut starts: Vec<SessionStart> = Vec::new();
        let newest = after.as_ref().map_or(window.to - 1, |after| after.ts.min(window.to - 1));
        if limit == 0 || newest < window.from {
            return Ok(starts);
        }
        let after = after.as_ref();
        let days = self.days(country, newest, window.from).map_ok(|partitions| {
            Box::pin(async move {
                let mut merge =
                    Merge::open(&self.requests, partitions, window, after, limit).await?;
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
        // The first day is often enough: then what would be read ahead of it is read in vain, page after page.
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

    pub(super) async fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        let days = self.days(country, window.to - 1, window.from).map_ok(|partitions| async move {
            let mut merge =
                Merge::open(&self.requests, partitions, window, None, COUNTED_ROWS).await?;
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

    pub(super) async fn countries(
        &self,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, StoreError> {
        let mut known = Vec::new();
        let mut from = Some(PagingState::start());
        while let Some(state) = from {
            let statement = &self.requests.statements.countries;
            let (result, next) = self.requests.page(For::Answering, statement, &(), state).await?;
            let unreadable = |error: &dyn std::fmt::Display| corrupt("countries", error);
            let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
            for row in rows.rows::<(&str, CqlDate)>().map_err(|error| unreadable(&error))? {
                let (country, day) = row.map_err(|error| unreadable(&error))?;
                let row = Country::from_normalised(country).zip(Day::from_cql(day));
                known.push(row.ok_or_else(|| unreadable(&country))?);
            }
            from = next.into_paging_control_flow().continue_value();
        }
        // Only a country whose newest day is the day of the horizon has to be looked at.
        let edge = Day::of(horizon);
        let looked = stream::iter(known).map(|(country, newest)| async move {
            let is_known = newest > edge
                || newest == edge && self.newest_start(&country, edge).await? >= Some(horizon);
            Ok::<_, StoreError>(is_known.then_some((country, newest.ends())))
        });
        looked
            .buffered(COUNTRIES_AHEAD)
            .try_filter_map(|country| async { Ok(country) })
            .try_collect()
            .await
    }

    /// When the newest start of a country's day was, superseded or not.
    async fn newest_start(
        &self,
        country: &Country,
        day: Day,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut newest = None;
        let mut days = std::pin::pin!(self.days(country, day.ends(), day.begins()));
        while let Some(partitions) = days.try_next().await? {
            for Partition { country, day, shards, shard } in partitions {
                let statement = &self.requests.statements.newest_start;
                let values = (country.as_str(), day.cql(), shards, shard);
                let (result, _) = self
                    .requests
                    .page(For::Answering, statement, &values, PagingState::start())
                    .await?;
                let unreadable =
                    |error: &dyn std::fmt::Display| corrupt("starts_by_country", error);
                let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
                let first = rows
                    .maybe_first_row::<(CqlTimestamp,)>()
                    .map_err(|error| unreadable(&error))?;
                newest = newest.max(first.and_then(|(ts,)| Timestamp::from_millis(ts.0)));
            }
        }
        Ok(newest)
    }

    /// The partitions of each day of a country on which it has a start, from the day of `newest` down to that of `oldest`.
    fn days<'a>(
        &'a self,
        country: &'a Country,
        newest: Timestamp,
        oldest: Timestamp,
    ) -> impl Stream<Item = Result<Vec<Partition>, StoreError>> + 'a {
        let span = (Day::of(newest), Day::of(oldest));
        let days = Days {
            store: self,
            country,
            span,
            found: VecDeque::new(),
            next: Some(PagingState::start()),
        };
        stream::try_unfold(days, |mut days| async move {
            let day = days.next_day().await?;
            Ok(if day.is_empty() { None } else { Some((day, days)) })
        })
    }
}

impl Days<'_> {
    /// The partitions of the next day; none at the end.
    async fn next_day(&mut self) -> Result<Vec<Partition>, StoreError> {
        // A day is complete once another one begins.
        while self.found.front().map(|first| first.day) == self.found.back().map(|last| last.day)
            && let Some(from) = self.next.take()
        {
            self.next = self.ask(from).await?;
        }
        let mut day = Vec::new();
        while let Some(partition) = self.found.pop_front_if(|partition| {
            day.first().is_none_or(|first: &Partition| first.day == partition.day)
        }) {
            day.push(partition);
        }
        Ok(day)
    }

    async fn ask(&mut self, from: PagingState) -> Result<Option<PagingState>, StoreError> {
        let requests = &self.store.requests;
        let statement = paged(&requests.statements.partitions, PARTITION_ROWS);
        let (newest, oldest) = self.span;
        let values = (self.country.as_str(), newest.cql(), oldest.cql());
        let (result, next) = requests.page(For::Answering, &statement, &values, from).await?;
        let unreadable = |error: &dyn std::fmt::Display| corrupt("start_partitions", error);
        let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
        for row in rows.rows::<(CqlDate, i16, i16)>().map_err(|error| unreadable(&error))? {
            let (day, shards, shard) = row.map_err(|error| unreadable(&error))?;
            let day = Day::from_cql(day).ok_or_else(|| unreadable(&"a day out of range"))?;
            self.found.push_back(Partition { country: self.country.clone(), day, shards, shard });
        }
        Ok(match next.into_paging_control_flow() {
            ControlFlow::Continue(next) => Some(next),
            ControlFlow::Break(()) => None,
        })
    }
}
