//! The statements of the Cassandra store, prepared once when it is opened.
//!
//! A row is added by INSERT alone: no update, no condition, nothing that is bound to null.

use scylla::{
    client::session::Session, errors::PrepareError, statement::prepared::PreparedStatement,
};

/// One prepared statement for each thing that is asked.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) insert_fact: PreparedStatement,
    pub(super) insert_completed: PreparedStatement,
    pub(super) insert_start: PreparedStatement,
    pub(super) insert_partition: PreparedStatement,
    pub(super) insert_country: PreparedStatement,
    /// The facts of some sessions of one user.
    pub(super) facts_of_user: PreparedStatement,
    /// The facts of some sessions of some users.
    pub(super) facts_of_users: PreparedStatement,
    /// The facts of a user's sessions behind one.
    pub(super) facts_behind: PreparedStatement,
    /// The facts of all users behind a token.
    pub(super) facts_from: PreparedStatement,
    pub(super) completed: PreparedStatement,
    /// The completed sessions that ended at the same time as one, behind it.
    pub(super) completed_equal: PreparedStatement,
    pub(super) starts: PreparedStatement,
    /// The starts at the same time as one, behind it.
    pub(super) starts_equal: PreparedStatement,
    pub(super) newest_start: PreparedStatement,
    pub(super) partitions: PreparedStatement,
    pub(super) countries: PreparedStatement,
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
    "INSERT INTO countries (everywhere, country, day) VALUES (0, ?, ?) USING TIMESTAMP ? AND TTL ?";
const FACTS_OF_USER: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, writetime(seen) \
    FROM facts WHERE user_id = ? AND session_id IN ?";
const FACTS_OF_USERS: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, writetime(seen) \
    FROM facts WHERE user_id IN ? AND session_id IN ?";
const FACTS_BEHIND: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, writetime(seen) \
    FROM facts WHERE user_id = ? AND session_id > ?";
const FACTS_FROM: &str = "SELECT user_id, session_id, kind, ts, country, marker, earlier, writetime(seen) \
    FROM facts WHERE token(user_id) > ?";
const COMPLETED: &str = "SELECT ended_at, session_id, started_at, country, marker FROM completed_by_user \
    WHERE user_id = ? AND ended_at < ? AND ended_at >= ?";
const COMPLETED_EQUAL: &str = "SELECT ended_at, session_id, started_at, country, marker FROM completed_by_user \
    WHERE user_id = ? AND ended_at = ? AND session_id > ?";
const STARTS: &str = "SELECT ts, session_id, user_id, marker FROM starts_by_country \
    WHERE country = ? AND day = ? AND shards = ? AND shard = ? AND ts < ? AND ts >= ?";
const STARTS_EQUAL: &str = "SELECT ts, session_id, user_id, marker FROM starts_by_country \
    WHERE country = ? AND day = ? AND shards = ? AND shard = ? AND ts = ? AND (session_id, user_id) > (?, ?)";
const NEWEST_START: &str = "SELECT ts FROM starts_by_country \
    WHERE country = ? AND day = ? AND shards = ? AND shard = ? LIMIT 1";
const PARTITIONS: &str =
    "SELECT day, shards, shard FROM start_partitions WHERE country = ? AND day <= ? AND day >= ?";
const COUNTRIES: &str = "SELECT country, day FROM countries WHERE everywhere = 0";

impl Statements {
    /// Prepares all of them against the tables of `keyspace`.
    pub(super) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, PrepareError> {
        let prepare = async |text: &str| {
            let mut statement = session.prepare(in_keyspace(text, keyspace)).await?;
            // Whatever is repeated changes nothing, and the columns of an answer are always the same.
            statement.set_is_idempotent(true);
            statement.set_use_cached_result_metadata(true);
            Ok::<_, PrepareError>(statement)
        };
        Ok(Self {
            insert_fact: prepare(INSERT_FACT).await?,
            insert_completed: prepare(INSERT_COMPLETED).await?,
            insert_start: prepare(INSERT_START).await?,
            insert_partition: prepare(INSERT_PARTITION).await?,
            insert_country: prepare(INSERT_COUNTRY).await?,
            facts_of_user: prepare(FACTS_OF_USER).await?,
            facts_of_users: prepare(FACTS_OF_USERS).await?,
            facts_behind: prepare(FACTS_BEHIND).await?,
            facts_from: prepare(FACTS_FROM).await?,
            completed: prepare(COMPLETED).await?,
            completed_equal: prepare(COMPLETED_EQUAL).await?,
            starts: prepare(STARTS).await?,
            starts_equal: prepare(STARTS_EQUAL).await?,
            newest_start: prepare(NEWEST_START).await?,
            partitions: prepare(PARTITIONS).await?,
            countries: prepare(COUNTRIES).await?,
        })
    }
}

/// `text` with its table named in full: a connection that is made anew need not be told the keyspace.
fn in_keyspace(text: &str, keyspace: &str) -> String {
    let (head, table) = match text.split_once(" FROM ") {
        Some((head, rest)) => (format!("{head} FROM "), rest),
        None => ("INSERT INTO ".to_owned(), text.trim_start_matches("INSERT INTO ")),
    };
    format!("{head}{keyspace}.{table}")
}
