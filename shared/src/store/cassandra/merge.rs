//! The starts of one country's day, merged from all partitions of that day.
//!
//! A start may lie in two partitions and its marker in a third: in the order of the merge they are neighbours, the marker
//! first, so the repeated and the superseded are left out by looking at the one before.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    ops::ControlFlow,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::{response::PagingState, value::CqlTimestamp};

use super::{
    corrupt,
    insert::cql,
    listing::paged,
    partition::{Day, Partition},
    request::{For, Requests},
};
use crate::{
    event::{SessionId, UserId},
    store::{StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

/// How many partitions are asked at once for their first rows.
const AHEAD: usize = 32;

/// A start, or its marker, by the order of the listing.
type Listed = (Reverse<Timestamp>, SessionId, UserId, Reverse<i8>);

/// ts, session, user, marker.
type Row<'a> = (CqlTimestamp, &'a str, &'a str, i8);

/// Starts in their order, each once, without the superseded.
pub(super) struct Merge<'a> {
    requests: &'a Requests,
    sources: Vec<Source>,
    /// The first row of each source that has one.
    first: BinaryHeap<Reverse<(Listed, usize)>>,
    last: Option<(Reverse<Timestamp>, SessionId, UserId)>,
}

/// What is left of one partition.
struct Source {
    partition: Partition,
    rows: VecDeque<Listed>,
    questions: VecDeque<Question>,
    page_rows: usize,
}

/// Rows to ask a partition for, from a page on.
enum Question {
    /// Those at the time of a position, behind it.
    Equal(StartPosition, PagingState),
    Within(Window, PagingState),
}

impl<'a> Merge<'a> {
    /// The starts of the day with `partitions`, in `window` and behind `after`, of which about `rows` will be taken.
    pub(super) async fn open(
        requests: &'a Requests,
        partitions: Vec<Partition>,
        window: Window,
        after: Option<&StartPosition>,
        rows: usize,
    ) -> Result<Self, StoreError> {
        let page_rows = (rows.saturating_mul(2) / partitions.len().max(1)).saturating_add(1);
        let sources = partitions.into_iter().map(|partition| async move {
            let mut source = Source::new(partition, window, after, page_rows);
            source.fill(requests).await?;
            Ok::<_, StoreError>(source)
        });
        let sources: Vec<_> = stream::iter(sources).buffered(AHEAD).try_collect().await?;
        let mut merge = Self { requests, sources, first: BinaryHeap::new(), last: None };
        for place in 0..merge.sources.len() {
            merge.advance(place);
        }
        Ok(merge)
    }

    /// The next start.
    pub(super) async fn next(
        &mut self,
    ) -> Result<Option<(Timestamp, SessionId, UserId)>, StoreError> {
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
        window: Window,
        after: Option<&StartPosition>,
        page_rows: usize,
    ) -> Self {
        let mut questions = VecDeque::new();
        let mut window = window;
        if let Some(after) = after.filter(|after| after.ts < window.to) {
            // The partitions of other days hold nothing of that time.
            if after.ts >= window.from && Day::of(after.ts) == partition.day {
                questions.push_back(Question::Equal(after.clone(), PagingState::start()));
            }
            window.to = after.ts;
        }
        if window.from < window.to {
            questions.push_back(Question::Within(window, PagingState::start()));
        }
        Self { partition, rows: VecDeque::new(), questions, page_rows }
    }

    /// Asks for more rows, unless there are none.
    async fn fill(&mut self, requests: &Requests) -> Result<(), StoreError> {
        while self.rows.is_empty()
            && let Some(question) = self.questions.pop_front()
        {
            let Partition { country, day, shards, shard } = &self.partition;
            let (country, day) = (country.as_str(), day.cql());
            let (result, next) = match &question {
                Question::Equal(StartPosition { ts, session, user }, from) => {
                    let statement = paged(&requests.statements.starts_equal, self.page_rows);
                    let values =
                        (country, day, shards, shard, cql(*ts), session.as_str(), user.as_str());
                    requests.page(For::Answering, &statement, &values, from.clone()).await?
                }
                Question::Within(Window { from: least, to }, from) => {
                    let statement = paged(&requests.statements.starts, self.page_rows);
                    let values = (country, day, shards, shard, cql(*to), cql(*least));
                    requests.page(For::Answering, &statement, &values, from.clone()).await?
                }
            };
            if let ControlFlow::Continue(next) = next.into_paging_control_flow() {
                self.questions.push_front(match question {
                    Question::Equal(position, _) => Question::Equal(position, next),
                    Question::Within(window, _) => Question::Within(window, next),
                });
            }
            let unreadable = |error: &dyn std::fmt::Display| corrupt("starts_by_country", error);
            let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
            for row in rows.rows::<Row<'_>>().map_err(|error| unreadable(&error))? {
                let row = row.map_err(|error| unreadable(&error))?;
                self.rows
                    .push_back(listed(&row).ok_or_else(|| unreadable(&format_args!("{row:?}")))?);
            }
        }
        Ok(())
    }
}

/// `None` for a row that this program never writes.
fn listed((ts, session, user, marker): &Row<'_>) -> Option<Listed> {
    let ts = Timestamp::from_millis(ts.0)?;
    Some((Reverse(ts), SessionId::new(session)?, UserId::new(user)?, Reverse(*marker)))
}
