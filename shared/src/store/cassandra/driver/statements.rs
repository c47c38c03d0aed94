//! The statements of the Cassandra store, prepared once when it is opened.
//!
//! Rows are only inserted: no UPDATE, no DELETE, no condition, no null value.

use scylla::{
    client::session::Session, errors::PrepareError, statement::prepared::PreparedStatement,
};

/// The prepared statements.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert_fact: PreparedStatement,
    pub(crate) insert_completed: PreparedStatement,
    pub(crate) insert_start: PreparedStatement,
    pub(crate) insert_partition: PreparedStatement,
    pub(crate) insert_country: PreparedStatement,
    /// Facts of given sessions of one user.
    pub(crate) facts_of_user: PreparedStatement,
    /// Facts of given sessions of given users.
    pub(crate) facts_of_users: PreparedStatement,
    /// Facts of a user's sessions after a given session.
    pub(crate) facts_after: PreparedStatement,
    /// Facts of all users after a given token.
    pub(crate) facts_after_token: PreparedStatement,
    pub(crate) completed: PreparedStatement,
    /// Completed sessions with the same end as a given session, after it.
    pub(crate) completed_equal: PreparedStatement,
    /// Users with completed sessions after a given token.
    pub(crate) completed_users: PreparedStatement,
    pub(crate) starts: PreparedStatement,
    /// Starts at the same time as a given start, after it.
    pub(crate) starts_equal: PreparedStatement,
    pub(crate) newest_start: PreparedStatement,
    pub(crate) partitions: PreparedStatement,
    pub(crate) countries: PreparedStatement,
}

const INSERT_FACT: &str = "INSERT INTO facts (user_id, session_id, kind, ts, country, marker, earlier, seen) \
    VALUES (?, ?, ?, ?, ?, ?, ?, 0) USING TIMESTAMP ? AND TTL ?";
const INSERT_COMPLETED: &str = "INSERT INTO completed_by_user \
    (user_id, ended_at, session_id, started_at, country, marker) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?";
const INSERT_START: &str = "INSERT INTO starts_by_country \
    (country, day, shards, shard, ts, session_id, user_id, marker) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
const INSERT_PARTITION: &str =
    "INSERT INTO start_partitions (country, day, shards, shard) VALUES (?, ?, ?, ?) USING TTL ?";
const INSERT_COUNTRY: &str =
    "INSERT INTO countries (everywhere, country, day) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?";
const FACTS: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, writetime(seen) \
    FROM facts WHERE ";
const COMPLETED: &str = "SELECT ended_at, session_id, started_at, country, marker FROM completed_by_user \
    WHERE user_id = ? AND ";
const COMPLETED_USERS: &str =
    "SELECT DISTINCT user_id FROM completed_by_user WHERE token(user_id) > ?";
const STARTS: &str = "SELECT ts, session_id, user_id, marker FROM starts_by_country \
    WHERE country = ? AND day = ? AND shards = ? AND shard = ? AND ";
const NEWEST_START: &str = "SELECT ts FROM starts_by_country \
    WHERE country = ? AND day = ? AND shards = ? AND shard = ? LIMIT 1";
const PARTITIONS: &str =
    "SELECT day, shards, shard FROM start_partitions WHERE country = ? AND day <= ? AND day >= ?";
/// The countries after one, in order. No country is empty.
const COUNTRIES: &str = "SELECT country, day FROM countries WHERE everywhere = 0 AND country > ?";

/// The largest page, in rows. A guardrail may forbid the driver's default.
pub(super) const MAX_PAGE: i32 = 2_000;

impl Statements {
    /// Prepares every statement for the tables of `keyspace`.
    pub(super) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, PrepareError> {
        let prepare = async |text: &str| {
            let mut statement = session.prepare(in_keyspace(text, keyspace)).await?;
            // Repeating a statement changes nothing, and its result columns never change.
            statement.set_is_idempotent(true);
            statement.set_use_cached_result_metadata(true);
            statement.set_page_size(MAX_PAGE);
            Ok::<_, PrepareError>(statement)
        };
        let select = async |from: &str, rows: &str| prepare(&[from, rows].concat()).await;
        Ok(Self {
            insert_fact: prepare(INSERT_FACT).await?,
            insert_completed: prepare(INSERT_COMPLETED).await?,
            insert_start: prepare(INSERT_START).await?,
            insert_partition: prepare(INSERT_PARTITION).await?,
            insert_country: prepare(INSERT_COUNTRY).await?,
            facts_of_user: select(FACTS, "user_id = ? AND session_id IN ?").await?,
            facts_of_users: select(FACTS, "user_id IN ? AND session_id IN ?").await?,
            facts_after: select(FACTS, "user_id = ? AND session_id > ?").await?,
            facts_after_token: select(FACTS, "token(user_id) > ?").await?,
            completed: select(COMPLETED, "ended_at < ? AND ended_at >= ?").await?,
            completed_equal: select(COMPLETED, "ended_at = ? AND session_id > ?").await?,
            completed_users: prepare(COMPLETED_USERS).await?,
            starts: select(STARTS, "ts < ? AND ts >= ?").await?,
            starts_equal: select(STARTS, "ts = ? AND (session_id, user_id) > (?, ?)").await?,
            newest_start: prepare(NEWEST_START).await?,
            partitions: prepare(PARTITIONS).await?,
            countries: prepare(COUNTRIES).await?,
        })
    }
}

/// `text` with a qualified table name, so that connections need no `USE`.
fn in_keyspace(text: &str, keyspace: &str) -> String {
    let (head, table) = match text.split_once(" FROM ") {
        Some((head, rest)) => (format!("{head} FROM "), rest),
        None => ("INSERT INTO ".to_owned(), text.trim_start_matches("INSERT INTO ")),
    };
    format!("{head}{keyspace}.{table}")
}
