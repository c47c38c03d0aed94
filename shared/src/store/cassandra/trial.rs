//! Trials: what a service will do with its store is tried when the store opens, as the same user
//! and on the same nodes. A request that can never succeed is then named at the start, not by the
//! first event.
//!
//! The rows of a trial expire after a second. Their user ids have a control character, which no
//! event can have, and reads of all users skip them. Those of 0471d48 do not, and call the store
//! damaged until the rows have expired.
//!
//! Their keys are always the same, so any number of starts leaves one tombstone for each key.

use scylla::{
    errors::ExecutionError,
    response::PagingState,
    statement::batch::{Batch, BatchStatement, BatchType},
    value::CqlTimestamp,
};

use super::{
    driver::{Requests, paged},
    facts::Stamps,
    insert::cql,
    lifetime::Lifetime,
    starts::Day,
    units::{PARTITIONS, ROWS, SESSIONS},
};
use crate::{
    clock::Clock,
    timestamp::{HOUR, Timestamp},
};

/// What a service does with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Writes units of facts and reads them back, and writes a row of every other table.
    Write,
    /// Reads the rows of every table.
    Read,
}

/// A user id that no event has.
const USER: &str = "\u{1}bookend-trial";
/// A user id that no trial writes, so that reads of it never meet the expired rows of many trials.
const READ_USER: &str = "\u{1}bookend-trial-read";
/// The time to live of the rows, in seconds.
const TTL: i32 = 1;
/// A partition of `countries` that is never read.
const NOWHERE: i8 = 1;
/// The length of the longest id.
const LONGEST: usize = 128;
/// The longest country: 16 characters of four bytes.
const COUNTRY: &str = "🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳";

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

/// Writes the largest units of facts and reads the first one back. Then writes the largest unit of
/// starts, and a row of every other table.
async fn write(requests: &Requests, margin_ms: i64) -> Result<(), ExecutionError> {
    let (session, statements) = (&requests.session, &requests.statements);
    let write_times = write_times(Clock::machine().now(), margin_ms);
    for rows in units(write_times) {
        let statements = vec![statements.insert_fact.clone().into(); rows.len()];
        session.batch(&Batch::new_with_statements(BatchType::Unlogged, statements), &rows).await?;
    }
    session.execute_unpaged(&statements.facts_of_users, (users(), sessions())).await?;
    let (ts, day) = (cql(Timestamp::default()), Day::of(Timestamp::default()).cql());
    let country = format!("{USER:\u{1}<width$}", width = COUNTRY.len());
    let starts: Vec<_> = sessions_of_one()
        .map(|session| (&country, day, 1_i16, 0_i16, ts, session, longest_user(), 0_i8, TTL))
        .collect();
    let inserts = vec![statements.insert_start.clone().into(); starts.len()];
    session.batch(&Batch::new_with_statements(BatchType::Unlogged, inserts), &starts).await?;
    let inserts =
        [&statements.insert_completed, &statements.insert_partition, &statements.insert_country];
    let inserts = inserts.map(|statement| BatchStatement::from(statement.clone())).to_vec();
    let rows = (
        (USER, ts, "", ts, "", 0_i8, TTL),
        (USER, day, 1_i16, 0_i16, TTL),
        (NOWHERE, USER, day, write_times[0], TTL),
    );
    session.batch(&Batch::new_with_statements(BatchType::Unlogged, inserts), rows).await?;
    Ok(())
}

/// The oldest and the newest write time of a fact: events count up to an hour ahead.
fn write_times(now: Timestamp, margin_ms: i64) -> [i64; 2] {
    let stamp = Stamps::default().next();
    [Lifetime::new(now, margin_ms).earliest(), now + HOUR].map(|ts| stamp.write_time(ts))
}

/// The largest units of facts: over several users, and of one user.
fn units(write_times: [i64; 2]) -> [Vec<Row>; 2] {
    let row = |user: &str, session: String, write_time| -> Row {
        let ts = cql(Timestamp::default());
        (user.to_owned(), session, 0, ts, COUNTRY, 0, ts, write_time, TTL)
    };
    let users = users();
    let several = sessions().into_iter().enumerate().map(|(number, session)| {
        row(&users[number % PARTITIONS], session, write_times[number % write_times.len()])
    });
    let user = longest_user();
    let one = sessions_of_one().map(|session| row(&user, session, write_times[0]));
    [several.collect(), one.collect()]
}

fn longest_user() -> String {
    format!("{USER:-<LONGEST$}")
}

fn sessions_of_one() -> impl Iterator<Item = String> {
    (0..ROWS).map(|number| format!("{number:0>LONGEST$}"))
}

fn users() -> Vec<String> {
    (0..PARTITIONS).map(|number| format!("{USER}-{number}")).collect()
}

fn sessions() -> Vec<String> {
    (0..SESSIONS).map(|number| format!("{number:02}")).collect()
}

/// Reads every table with the largest page.
async fn read(requests: &Requests) -> Result<(), ExecutionError> {
    let (session, statements) = (&requests.session, &requests.statements);
    let now = Clock::machine().now();
    let (day, ts, first) = (Day::of(now).cql(), cql(now), PagingState::start);
    let page = |statement| paged(statement, usize::MAX);
    session.execute_single_page(&page(&statements.facts_after), (READ_USER, ""), first()).await?;
    session.execute_single_page(&page(&statements.completed), (READ_USER, ts, ts), first()).await?;
    let starts = (READ_USER, day, 1_i16, 0_i16, ts, ts);
    session.execute_single_page(&page(&statements.starts), starts, first()).await?;
    session
        .execute_single_page(&page(&statements.partitions), (READ_USER, day, day), first())
        .await?;
    session.execute_single_page(&page(&statements.countries), ("",), first()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::DAY;

    #[test]
    fn the_keys_of_every_trial_are_the_same_so_that_tombstones_do_not_add_up() {
        let now = Clock::machine().now();
        let keys = |now| {
            let rows = units(write_times(now, DAY)).concat();
            rows.into_iter().map(|(user, session, kind, ts, country, marker, earlier, ..)| {
                (user, session, kind, ts, country, marker, earlier)
            })
        };
        assert!(keys(now).eq(keys(now + DAY)));
        assert_ne!(write_times(now, DAY), write_times(now + DAY, DAY));
    }
}
