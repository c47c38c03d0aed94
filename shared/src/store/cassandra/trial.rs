//! Trials: what a service will do with its store is tried when the store opens, as the same user
//! and on the same nodes. A request that can never succeed is then named at the start, not by the
//! first event.
//!
//! The rows of a trial expire after a minute. Their user ids have a control character, which no
//! event can have, and reads of all users skip them.

use scylla::{
    errors::ExecutionError,
    response::PagingState,
    statement::batch::{Batch, BatchType},
    value::CqlTimestamp,
};

use super::{
    driver::{Requests, paged},
    facts::Stamps,
    insert::cql,
    lifetime::Lifetime,
    starts::Day,
    units::{PARTITIONS, ROWS},
};
use crate::{
    clock::Clock,
    timestamp::{MINUTE, Timestamp},
};

/// What a service does with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Writes units of facts and reads them back.
    Write,
    /// Reads the rows of every table.
    Read,
}

/// A user id that no event has.
const USER: &str = "\u{1}bookend-trial";
/// A user id that no trial writes, so that reads of it never meet the expired rows of many trials.
const READ_USER: &str = "\u{1}bookend-trial-read";
/// The time to live of the rows, in seconds.
const TTL: i32 = 60;
/// The most sessions of one unit over several users: rows of 84 bytes in 5 KiB.
const SESSIONS: usize = 60;
/// The length of the longest id.
const LONGEST: usize = 128;
/// The largest page of a query.
const PAGE: usize = 2_000;

/// A fact: user, session, kind, ts, country, marker, earlier, write time, time to live.
type Row = (String, String, i8, CqlTimestamp, &'static str, i8, CqlTimestamp, i64, i32);

/// Whether rows of this user belong to a trial.
pub(super) fn is_trial(user: &str) -> bool {
    user.starts_with(USER)
}

/// Tries what a service will do. Nothing is retried.
pub(super) async fn run(
    trials: &[Trial],
    requests: &Requests,
    margin_ms: i64,
) -> Result<(), ExecutionError> {
    for trial in trials {
        match trial {
            Trial::Write => write(requests, margin_ms).await?,
            Trial::Read => read(requests).await?,
        }
    }
    Ok(())
}

/// Writes the largest units, over several users and of one user, with the oldest and the newest
/// write times, and reads the first one back.
async fn write(requests: &Requests, margin_ms: i64) -> Result<(), ExecutionError> {
    let (now, stamp) = (Clock::machine().now(), Stamps::default().next());
    let times = [Lifetime::new(now, margin_ms).earliest(), now + 5 * MINUTE];
    let row = |user: &str, session: String, ts: Timestamp| -> Row {
        let (earlier, write_time) = (cql(Timestamp::default()), stamp.write_time(ts));
        (user.to_owned(), session, 1, cql(ts), "", 0, earlier, write_time, TTL)
    };
    let users: Vec<_> = (0..PARTITIONS).map(|number| format!("{USER}-{number}")).collect();
    let sessions: Vec<_> = (0..SESSIONS).map(|number| format!("{number:02}")).collect();
    let several = sessions.iter().enumerate().map(|(number, session)| {
        row(&users[number % PARTITIONS], session.clone(), times[number % times.len()])
    });
    let one = (0..ROWS).map(|number| row(USER, format!("{number:0>LONGEST$}"), times[0]));
    for rows in [several.collect::<Vec<_>>(), one.collect()] {
        let statements = vec![requests.statements.insert_fact.clone().into(); rows.len()];
        let batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        requests.session.batch(&batch, &rows).await?;
    }
    let statement = &requests.statements.facts_of_users;
    requests.session.execute_unpaged(statement, (users, sessions)).await?;
    Ok(())
}

/// Reads every table with the largest page.
async fn read(requests: &Requests) -> Result<(), ExecutionError> {
    let (session, statements) = (&requests.session, &requests.statements);
    let now = Clock::machine().now();
    let (day, ts, first) = (Day::of(now).cql(), cql(now), PagingState::start);
    let page = |statement| paged(statement, PAGE);
    session.execute_single_page(&page(&statements.facts_after), (READ_USER, ""), first()).await?;
    session.execute_single_page(&page(&statements.completed), (READ_USER, ts, ts), first()).await?;
    let starts = (READ_USER, day, 1_i16, 0_i16, ts, ts);
    session.execute_single_page(&page(&statements.starts), starts, first()).await?;
    session
        .execute_single_page(&page(&statements.partitions), (READ_USER, day, day), first())
        .await?;
    session.execute_single_page(&page(&statements.countries), (), first()).await?;
    Ok(())
}
