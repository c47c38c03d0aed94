//! Merges the starts of one country's day from all partitions of that day.
//!
//! A start can be in two partitions and its marker in a third. In merge order they are adjacent,
//! the marker first, so a comparison with the previous row finds repeated and superseded starts.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::{response::PagingState, value::CqlTimestamp};

use super::{
    super::{
        driver::{Caller, Requests, paged, read_rows},
        insert::cql,
    },
    partition::{Day, Partition},
};
use crate::{
    event::{SessionId, UserId},
    store::{Result, StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

/// Number of partitions whose first rows are read concurrently.
const PARTITIONS_AHEAD: usize = 32;

/// A start or its marker, in the order of the replies.
type StartRow = (Reverse<Timestamp>, SessionId, UserId, Reverse<i8>);

/// ts, session, user, marker.
type Row<'a> = (CqlTimestamp, &'a str, &'a str, i8);

/// The starts of a day in order, each once, without the superseded ones.
pub(super) struct Merge<'a> {
    requests: &'a Requests,
    sources: Vec<Source>,
    /// The first row of each source that has one.
    first: BinaryHeap<Reverse<(StartRow, usize)>>,
    last: Option<(Reverse<Timestamp>, SessionId, UserId)>,
}

/// The unread rows of one partition.
struct Source {
    partition: Partition,
    rows: VecDeque<StartRow>,
    reads: VecDeque<Read>,
    page_rows: usize,
}

/// A range of rows to read, from a page on.
enum Read {
    /// Rows at the time of the position and after it.
    Equal(StartPosition, PagingState),
    Within(Window, PagingState),
}

impl<'a> Merge<'a> {
    /// Merges the starts of the day with `partitions`, in `window` and after `after`. The caller
    /// expects to take about `rows` of them.
    pub(super) async fn open(
        requests: &'a Requests,
        partitions: Vec<Partition>,
        window: Window,
        after: Option<&StartPosition>,
        rows: usize,
    ) -> Result<Self> {
        let page_rows = (rows.saturating_mul(2) / partitions.len().max(1)).saturating_add(1);
        let sources = partitions.into_iter().map(|partition| async move {
            let mut source = Source::new(partition, window, after, page_rows);
            source.fill(requests).await?;
            Ok::<_, StoreError>(source)
        });
        let sources: Vec<_> =
            stream::iter(sources).buffered(PARTITIONS_AHEAD).try_collect().await?;
        let mut merge = Self { requests, sources, first: BinaryHeap::new(), last: None };
        for place in 0..merge.sources.len() {
            merge.advance(place);
        }
        Ok(merge)
    }

    /// The next start.
    pub(super) async fn next(&mut self) -> Result<Option<(Timestamp, SessionId, UserId)>> {
        while let Some(Reverse(((ts, session, user, Reverse(marker)), place))) = self.first.pop() {
            if self.sources[place].rows.is_empty() {
                self.sources[place].fill(self.requests).await?;
            }
            self.advance(place);
            let this = (ts, session, user);
            if self.last.as_ref() == Some(&this) {
                continue;
            }
            self.last = Some(this.clone());
            if marker == 0 {
                let (Reverse(ts), session, user) = this;
                return Ok(Some((ts, session, user)));
            }
        }
        Ok(None)
    }

    fn advance(&mut self, place: usize) {
        if let Some(row) = self.sources[place].rows.pop_front() {
            self.first.push(Reverse((row, place)));
        }
    }
}

impl Source {
    fn new(
        partition: Partition,
        mut window: Window,
        after: Option<&StartPosition>,
        page_rows: usize,
    ) -> Self {
        let mut reads = VecDeque::new();
        if let Some(after) = after.filter(|after| after.ts < window.to) {
            // Partitions of other days have no rows of that time.
            if after.ts >= window.from && Day::of(after.ts) == partition.day {
                reads.push_back(Read::Equal(after.clone(), PagingState::start()));
            }
            window.to = after.ts;
        }
        if window.from < window.to {
            reads.push_back(Read::Within(window, PagingState::start()));
        }
        Self { partition, rows: VecDeque::new(), reads, page_rows }
    }

    /// Reads pages until there is a row, or until the partition is exhausted.
    async fn fill(&mut self, requests: &Requests) -> Result<()> {
        while self.rows.is_empty()
            && let Some(read) = self.reads.pop_front()
        {
            let Partition { country, day, shards, shard } = &self.partition;
            let (country, day) = (country.as_str(), day.cql());
            let (rows, next) = match &read {
                Read::Equal(StartPosition { ts, session, user }, from) => {
                    let statement = paged(&requests.statements.starts_equal, self.page_rows);
                    let values =
                        (country, day, shards, shard, cql(*ts), session.as_str(), user.as_str());
                    requests.page(Caller::Range, &statement, &values, from.clone()).await?
                }
                Read::Within(Window { from: oldest, to }, from) => {
                    let statement = paged(&requests.statements.starts, self.page_rows);
                    let values = (country, day, shards, shard, cql(*to), cql(*oldest));
                    requests.page(Caller::Range, &statement, &values, from.clone()).await?
                }
            };
            if let Some(next) = next {
                self.reads.push_front(match read {
                    Read::Equal(position, _) => Read::Equal(position, next),
                    Read::Within(window, _) => Read::Within(window, next),
                });
            }
            read_rows("starts_by_country", &rows, |(ts, session, user, marker): &Row<'_>| {
                let ts = Reverse(Timestamp::from_millis(ts.0)?);
                let (session, user) = (SessionId::new(session)?, UserId::new(user)?);
                self.rows.push_back((ts, session, user, Reverse(*marker)));
                Some(())
            })?;
        }
        Ok(())
    }
}
