//! Merges the starts of one country's day from all partitions of that day.
//!
//! A start can be in two partitions and its marker in a third. In merge order they are adjacent,
//! the marker first, so a comparison with the previous row finds repeated and superseded starts.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};

use super::{
    super::driver::Requests,
    partition::Partition,
    read::{Read, StartRow, reads},
};
use crate::{
    event::{SessionId, UserId},
    store::{Result, StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

/// Number of partitions whose first rows are read concurrently.
const PARTITIONS_AHEAD: usize = 32;

/// How a merge reads each of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    /// The number of rows per page.
    pub(super) rows: usize,
    /// Whether the next page is read when half of one is used.
    pub(super) ahead: bool,
}

/// The starts of a day in order, each once, without the superseded ones.
pub(super) struct Merge<'a> {
    requests: &'a Requests,
    paging: Paging,
    sources: Vec<Source>,
    /// The first row of each source that has one.
    first: BinaryHeap<Reverse<(StartRow, usize)>>,
    last: Option<(Reverse<Timestamp>, SessionId, UserId)>,
    /// The pages that are being read, each with the place of its source.
    reading: FuturesUnordered<BoxFuture<'a, Result<(usize, Page)>>>,
}

/// The unread rows of one partition.
#[derive(Default)]
struct Source {
    rows: VecDeque<StartRow>,
    /// The rest of the partition, without the page that is being read.
    rest: VecDeque<Read>,
    is_reading: bool,
}

/// The rows of a page, and the read that continues it.
type Page = (Vec<StartRow>, Option<Read>);

impl<'a> Merge<'a> {
    /// Merges the starts of the day with `partitions`, in `window` and after `after`.
    pub(super) async fn open(
        requests: &'a Requests,
        partitions: Vec<Partition>,
        window: Window,
        after: Option<&StartPosition>,
        paging: Paging,
    ) -> Result<Self> {
        let sources = partitions.into_iter().map(|partition| async move {
            let mut source = Source { rest: reads(partition, window, after), ..Source::default() };
            while source.rows.is_empty()
                && let Some(read) = source.rest.pop_front()
            {
                source.add(read.page(requests, paging.rows).await?);
            }
            Ok::<_, StoreError>(source)
        });
        let sources = stream::iter(sources).buffered(PARTITIONS_AHEAD).try_collect().await?;
        let (first, reading) = (BinaryHeap::new(), FuturesUnordered::new());
        let mut merge = Self { requests, paging, sources, first, last: None, reading };
        for place in 0..merge.sources.len() {
            merge.advance(place);
        }
        Ok(merge)
    }

    /// The next start.
    pub(super) async fn next(&mut self) -> Result<Option<(Timestamp, SessionId, UserId)>> {
        while let Some(Reverse(((ts, session, user, Reverse(marker)), place))) = self.first.pop() {
            self.fill(place).await?;
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

    /// Begins to read the next page of a source when few of its rows are left, and waits for it
    /// when none is left.
    async fn fill(&mut self, place: usize) -> Result<()> {
        let few = if self.paging.ahead { self.paging.rows / 2 } else { 0 };
        loop {
            let source = &mut self.sources[place];
            if !source.is_reading
                && source.rows.len() <= few
                && let Some(read) = source.rest.pop_front()
            {
                source.is_reading = true;
                let (requests, rows) = (self.requests, self.paging.rows);
                let page = async move { Ok((place, read.page(requests, rows).await?)) };
                self.reading.push(Box::pin(page));
                // A request is sent when it is first polled.
                if let Some(Some(page)) = self.reading.next().now_or_never() {
                    self.add(page?);
                }
                continue;
            }
            if !source.rows.is_empty() || !source.is_reading {
                return Ok(());
            }
            if let Some(page) = self.reading.next().await {
                self.add(page?);
            }
        }
    }

    fn add(&mut self, (place, page): (usize, Page)) {
        self.sources[place].add(page);
    }
}

impl Source {
    fn add(&mut self, (rows, next): Page) {
        self.is_reading = false;
        self.rows.extend(rows);
        if let Some(next) = next {
            self.rest.push_front(next);
        }
    }
}
