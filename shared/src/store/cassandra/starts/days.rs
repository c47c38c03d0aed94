//! The table `start_partitions`: the partitions of a country, day by day, newest first.

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use scylla::{response::PagingState, value::CqlDate};

use super::{
    super::{
        CassandraStore,
        driver::{Caller, paged, read_rows},
    },
    partition::{Day, Partition},
};
use crate::{event::Country, store::Result, timestamp::Timestamp};

/// Number of partitions per page.
const PARTITION_ROWS: usize = 128;

/// Reads the partitions of a country's days.
struct Days<'a> {
    store: &'a CassandraStore,
    country: Country,
    newest: Day,
    oldest: Day,
    found: VecDeque<Partition>,
    /// The next page, if there is one.
    next: Option<PagingState>,
}

impl CassandraStore {
    /// The partitions of each day on which `country` has a start, from the day of `newest` down to
    /// the day of `oldest`.
    pub(super) fn days(
        &self,
        country: Country,
        newest: Timestamp,
        oldest: Timestamp,
    ) -> impl Stream<Item = Result<Vec<Partition>>> {
        let days = Days {
            store: self,
            country,
            newest: Day::of(newest),
            oldest: Day::of(oldest),
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
    /// The partitions of the next day; empty at the end.
    async fn next_day(&mut self) -> Result<Vec<Partition>> {
        let requests = self.store.requests()?;
        // A day is complete once a partition of another day is found.
        while self.found.front().map(|first| first.day) == self.found.back().map(|last| last.day)
            && let Some(from) = self.next.take()
        {
            let statement = paged(&requests.statements.partitions, PARTITION_ROWS);
            let values = (self.country.as_str(), self.newest.cql(), self.oldest.cql());
            let (rows, next) = requests.page(Caller::Range, &statement, &values, from).await?;
            read_rows("start_partitions", &rows, |&(day, shards, shard): &(CqlDate, i16, i16)| {
                let (country, day) = (self.country.clone(), Day::from_cql(day)?);
                self.found.push_back(Partition { country, day, shards, shard });
                Some(())
            })?;
            self.next = next;
        }
        let mut day = Vec::new();
        while let Some(partition) = self.found.pop_front_if(|partition| {
            day.first().is_none_or(|first: &Partition| first.day == partition.day)
        }) {
            day.push(partition);
        }
        Ok(day)
    }
}
