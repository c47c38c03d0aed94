//! Rows to add, each serialized as the values of its statement.

use futures_util::future::join_all;
use scylla::{
    errors::SerializationError,
    serialize::{
        row::{RowSerializationContext, SerializeRow},
        writers::RowWriter,
    },
    statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};

use super::{
    driver::{Requests, Statements},
    starts::{Day, Partition},
    units::{CELL, FACT, ROW},
};
use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, Fact, SessionStart},
    store::Result,
    timestamp::Timestamp,
};

/// The one partition of `countries`.
const EVERYWHERE: i8 = 0;

/// A row to add. `ttl` is in seconds, `write_time` in microseconds.
#[derive(Debug)]
pub(super) enum Insert<'a> {
    /// A fact, or with `earlier` the reference beside it.
    Fact {
        user: &'a UserId,
        session: &'a SessionId,
        fact: Fact,
        earlier: Option<Earlier>,
        write_time: i64,
        ttl: i32,
    },
    Completed {
        row: &'a CompletedSession,
        marker: bool,
        ttl: i32,
    },
    Start {
        row: &'a SessionStart,
        partition: Partition,
        marker: bool,
        ttl: i32,
    },
    Partition {
        partition: Partition,
        ttl: i32,
    },
    Country {
        country: Country,
        day: Day,
        ttl: i32,
    },
}

/// An earlier fact of the same session, which expires before the fact that refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Earlier {
    Start(Timestamp),
    End(Timestamp),
}

impl Requests {
    /// Adds `rows` in one request.
    pub(super) async fn insert(&self, rows: &[Insert<'_>]) -> Result<()> {
        let statements = rows.iter().map(|row| row.statement(&self.statements).into()).collect();
        self.write(statements, rows).await
    }

    /// Adds `rows` in concurrent requests of at most `size` rows. Waits for all of them even when
    /// one fails: one that is dropped keeps its permit until its deadline.
    pub(super) async fn insert_all(&self, rows: &[Insert<'_>], size: usize) -> Result<()> {
        join_all(rows.chunks(size).map(|rows| self.insert(rows))).await.into_iter().collect()
    }
}

impl Insert<'_> {
    fn statement(&self, statements: &Statements) -> PreparedStatement {
        match self {
            Self::Fact { .. } => &statements.insert_fact,
            Self::Completed { .. } => &statements.insert_completed,
            Self::Start { .. } => &statements.insert_start,
            Self::Partition { .. } => &statements.insert_partition,
            Self::Country { .. } => &statements.insert_country,
        }
        .clone()
    }

    /// Upper bound of the size that Cassandra counts for this row in a batch, in bytes: the columns
    /// after the partition key and the overhead of a row.
    pub(super) fn size(&self) -> usize {
        ROW + match self {
            Self::Fact { session, fact, .. } => return Self::size_of_fact(session, fact),
            Self::Completed { row, .. } => {
                row.session.as_str().len() + row.country.as_str().len() + 17
            }
            Self::Start { row, .. } => row.session.as_str().len() + row.user.as_str().len() + 9,
            Self::Partition { .. } => 8,
            Self::Country { country, .. } => country.as_str().len() + CELL,
        }
    }

    /// The same for the row of a fact.
    pub(super) fn size_of_fact(session: &SessionId, fact: &Fact) -> usize {
        let country = match fact {
            Fact::Start(start) => start.country.as_str().len(),
            Fact::End(_) => 0,
        };
        FACT + session.as_str().len() + country
    }
}

impl SerializeRow for Insert<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        match self {
            Self::Fact { user, session, fact, earlier, write_time, ttl } => {
                let (kind, ts, country) = match fact {
                    Fact::Start(start) => (0_i8, start.ts, start.country.as_str()),
                    Fact::End(ts) => (1, *ts, ""),
                };
                let (marker, earlier) = match earlier {
                    None => (0_i8, Timestamp::default()),
                    Some(Earlier::Start(ts)) => (1, *ts),
                    Some(Earlier::End(ts)) => (2, *ts),
                };
                let (user, session) = (user.as_str(), session.as_str());
                (user, session, kind, cql(ts), country, marker, cql(earlier), write_time, ttl)
                    .serialize(context, writer)
            }
            Self::Completed { row, marker, ttl } => {
                let (user, session) = (row.user.as_str(), row.session.as_str());
                let (ended_at, started_at) = (cql(row.ended_at), cql(row.started_at));
                let (country, marker) = (row.country.as_str(), i8::from(*marker));
                (user, ended_at, session, started_at, country, marker, ttl)
                    .serialize(context, writer)
            }
            Self::Start { row, partition, marker, ttl } => {
                let Partition { country, day, shards, shard } = partition;
                let (country, day, ts) = (country.as_str(), day.cql(), cql(row.ts));
                let (user, session) = (row.user.as_str(), row.session.as_str());
                (country, day, shards, shard, ts, session, user, i8::from(*marker), ttl)
                    .serialize(context, writer)
            }
            Self::Partition { partition: Partition { country, day, shards, shard }, ttl } => {
                (country.as_str(), day.cql(), shards, shard, ttl).serialize(context, writer)
            }
            Self::Country { country, day, ttl } => {
                let write_time = day.begins().millis() * 1_000;
                (EVERYWHERE, country.as_str(), day.cql(), write_time, ttl)
                    .serialize(context, writer)
            }
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

pub(super) fn cql(ts: Timestamp) -> CqlTimestamp {
    CqlTimestamp(ts.millis())
}
