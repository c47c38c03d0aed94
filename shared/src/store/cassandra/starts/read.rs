//! Reads rows of one partition of `starts_by_country`, page by page.

use std::{cmp::Reverse, collections::VecDeque};

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
    store::{Result, StartPosition, Window},
    timestamp::Timestamp,
};

/// A start or its marker, in the order of the replies.
pub(super) type StartRow = (Reverse<Timestamp>, SessionId, UserId, Reverse<i8>);

/// ts, session, user, marker.
type Row<'a> = (CqlTimestamp, &'a str, &'a str, i8);

/// A page to read.
pub(super) struct Read {
    partition: Partition,
    range: Range,
    from: PagingState,
}

/// A range of rows.
enum Range {
    /// At the time of the position and after it.
    Equal(StartPosition),
    Within(Window),
}

/// The reads, in order, of the rows of `partition` in `window` and after `after`.
pub(super) fn reads(
    partition: Partition,
    mut window: Window,
    after: Option<&StartPosition>,
) -> VecDeque<Read> {
    let mut ranges = VecDeque::new();
    if let Some(after) = after.filter(|after| after.ts < window.to) {
        // Partitions of other days have no rows of that time.
        if after.ts >= window.from && Day::of(after.ts) == partition.day {
            ranges.push_back(Range::Equal(after.clone()));
        }
        window.to = after.ts;
    }
    if window.from < window.to {
        ranges.push_back(Range::Within(window));
    }
    let read = |range| Read { partition: partition.clone(), range, from: PagingState::start() };
    ranges.into_iter().map(read).collect()
}

impl Read {
    /// Reads about `rows` rows. Returns them, and the read of the next page if there is one.
    pub(super) async fn page(
        self,
        requests: &Requests,
        rows: usize,
    ) -> Result<(Vec<StartRow>, Option<Self>)> {
        let Self { partition, range, from } = self;
        let Partition { country, day, shards, shard } = &partition;
        let (country, day) = (country.as_str(), day.cql());
        let (result, next) = match &range {
            Range::Equal(StartPosition { ts, session, user }) => {
                let statement = paged(&requests.statements.starts_equal, rows);
                let values =
                    (country, day, shards, shard, cql(*ts), session.as_str(), user.as_str());
                requests.page(Caller::Range, &statement, &values, from).await?
            }
            Range::Within(Window { from: oldest, to }) => {
                let statement = paged(&requests.statements.starts, rows);
                let values = (country, day, shards, shard, cql(*to), cql(*oldest));
                requests.page(Caller::Range, &statement, &values, from).await?
            }
        };
        let mut page = Vec::new();
        read_rows("starts_by_country", &result, |(ts, session, user, marker): &Row<'_>| {
            let ts = Reverse(Timestamp::from_millis(ts.0)?);
            let (session, user) = (SessionId::stored(session)?, UserId::stored(user)?);
            page.push((ts, session, user, Reverse(*marker)));
            Some(())
        })?;
        Ok((page, next.map(|from| Self { partition, range, from })))
    }
}
