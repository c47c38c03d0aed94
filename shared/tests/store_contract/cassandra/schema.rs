//! The schema: set up from any state, by any number of processes, and refused where it is unsafe.

use std::time::{Duration, Instant};

use shared::{
    store::{
        CassandraStore, Store, StoreError,
        cassandra::{CassandraOpenError, CassandraOptions, Replication, Trial, setup, setup_from},
    },
    timestamp::Timestamp,
};
use test_support::lines::Lines;

use super::{Keyspace, connect, options};
use crate::{Backend, scan};

/// The longest time until a store that is not open says why.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn setup_says_what_it_did_and_may_be_repeated() {
    let options = options();
    let first = setup(&options, &"1".parse().unwrap()).await.unwrap();
    assert!(first[0].starts_with("created keyspace"), "{first:?}");
    assert_eq!(first.len(), 8, "the keyspace, six tables and the version: {first:?}");
    assert!(!first.iter().any(|line| line.contains("compaction")), "{first:?}");
    let second = setup(&options, &"3".parse().unwrap()).await.unwrap();
    assert_eq!(second.len(), 2, "{second:?}");
    assert!(second[0].contains("is unchanged"), "{second:?}");
    assert_eq!(second[1], "schema version 1 is already recorded");
    let classes = connect(&options)
        .await
        .query_unpaged(
            "SELECT table_name, compaction FROM system_schema.tables WHERE keyspace_name = ?",
            (&options.keyspace,),
        )
        .await
        .unwrap()
        .into_rows_result()
        .unwrap();
    for row in classes.rows::<(String, std::collections::HashMap<String, String>)>().unwrap() {
        let (table, compaction) = row.unwrap();
        let expected = match table.as_str() {
            "facts" | "completed_by_user" => "UnifiedCompactionStrategy",
            "starts_by_country" | "start_partitions" => "TimeWindowCompactionStrategy",
            _ => continue,
        };
        assert!(compaction["class"].ends_with(expected), "{table}: {compaction:?}");
    }
    CassandraStore::open(options.clone()).await.unwrap();
    Keyspace(options).remove().await;
}

#[tokio::test]
async fn a_table_that_was_lost_is_made_again() {
    let keyspace = Keyspace::fresh().await;
    let lost = format!("DROP TABLE {}.completed_by_user", keyspace.0.keyspace);
    connect(&keyspace.0).await.query_unpaged(lost, ()).await.unwrap();
    let refused = CassandraStore::open(keyspace.options()).await.unwrap_err();
    assert!(matches!(refused, CassandraOpenError::NoSchema { .. }), "{refused:?}");
    let done = setup(&keyspace.0, &"1".parse().unwrap()).await.unwrap();
    assert!(done.iter().any(|line| line == "created table completed_by_user"), "{done:?}");
    assert_eq!(done.len(), 3, "besides the keyspace and the version: {done:?}");
    CassandraStore::open(keyspace.options()).await.unwrap();
    keyspace.remove().await;
}

#[tokio::test]
async fn a_change_of_the_schema_may_take_longer_than_a_request() {
    let hasty =
        CassandraOptions { request_timeout: std::time::Duration::from_millis(1), ..options() };
    setup(&hasty, &"1".parse().unwrap()).await.unwrap();
    Keyspace(hasty).remove().await;
}

#[tokio::test]
async fn more_copies_than_nodes_are_told_from_nodes_out_of_reach() {
    let options = options();
    let refused = setup(&options, &"3".parse().unwrap()).await.unwrap_err();
    let CassandraOpenError::TooFewNodes { required: 2, alive: 1, .. } = refused else {
        panic!("{refused:?}")
    };
    assert!(refused.to_string().contains(&options.keyspace), "{refused}");
    // It created nothing, so a run with fewer replicas succeeds.
    let done = setup(&options, &"1".parse().unwrap()).await.unwrap();
    assert!(done[0].starts_with("created keyspace"), "{done:?}");
    let replicas = async |number: u8| {
        let replication = format!("datacenter1:{number}").parse::<Replication>().unwrap();
        let alter = format!("ALTER KEYSPACE {} WITH replication = {replication}", options.keyspace);
        connect(&options).await.query_unpaged(alter, ()).await.unwrap();
    };

    replicas(3).await;
    let store = Store::Cassandra(
        CassandraStore::start(options.clone(), &[Trial::Write, Trial::Read]).into(),
    );
    let obstacle = obstacle(&store, |error| error.to_string().contains("a quorum needs 2")).await;
    assert!(matches!(obstacle, StoreError::Unavailable(_)), "{obstacle:?}");
    replicas(1).await;
    store.opened().await;
    store.ready().await.unwrap();
    Keyspace(options).remove().await;
}

/// Waits until a store that is not open says why, as `expected`.
pub(super) async fn obstacle(store: &Store, expected: impl Fn(&StoreError) -> bool) -> StoreError {
    let begun = Instant::now();
    loop {
        let error = store.ready().await.unwrap_err();
        if expected(&error) {
            return error;
        }
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_that_is_started_without_its_tables_waits_for_them() {
    let options = options();
    let store = Store::Cassandra(
        CassandraStore::start(options.clone(), &[Trial::Write, Trial::Read]).into(),
    );
    let missing = obstacle(&store, |error| error.to_string().contains("bookend setup")).await;
    assert!(matches!(missing, StoreError::Refused(_)), "{missing:?}");
    assert!(store.may_recover_from(&missing));
    let asked = store.countries(Timestamp::MIN, None, 1).await.unwrap_err();
    assert!(asked.to_string().contains("bookend setup"), "{asked}");
    setup(&options, &"1".parse().unwrap()).await.unwrap();
    store.opened().await;
    store.ready().await.unwrap();
    let session = connect(&options).await;
    let count = async |table: &str| {
        let select = format!("SELECT user_id FROM {}.{table}", options.keyspace);
        let rows = session.query_unpaged(select, ()).await.unwrap();
        rows.into_rows_result().unwrap().rows_num()
    };
    // Rows as a trial writes them, which no check of the store takes for sessions.
    for (table, columns, values) in [
        (
            "facts",
            "session_id, kind, ts, country, marker, earlier, seen",
            // The longest country, which no event can have either.
            "'s', 0, 0, '🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳🏳', 0, 0, 0",
        ),
        (
            "completed_by_user",
            "ended_at, session_id, started_at, country, marker",
            "0, '', 0, '', 0",
        ),
    ] {
        let begun = Instant::now();
        while count(table).await > 0 {
            assert!(begun.elapsed() < PATIENCE, "the rows of the trial are left in {table}");
        }
        let insert = format!(
            "INSERT INTO {}.{table} (user_id, {columns}) VALUES ('\u{1}bookend-trial-1', {values})",
            options.keyspace
        );
        session.query_unpaged(insert, ()).await.unwrap();
        assert_eq!(count(table).await, 1, "{table}");
    }
    assert!(scan(&store).await.is_empty());
    assert!(store.completed_users(None, 9).await.unwrap().is_empty());
    Keyspace(options).remove().await;
}

#[tokio::test]
async fn without_its_tables_a_store_names_the_command_that_makes_them() {
    let refused = CassandraStore::open(options()).await.unwrap_err();
    assert!(matches!(refused, CassandraOpenError::NoSchema { .. }), "{refused:?}");
    assert!(refused.to_string().contains("bookend setup"), "{refused}");
}

#[tokio::test]
async fn where_no_node_is_it_says_where_it_looked() {
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refused =
        CassandraStore::open(CassandraOptions { nodes: vec![nobody.clone()], ..options() }).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, CassandraOpenError::Unreachable { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&nobody), "{refused}");
}

#[tokio::test]
async fn a_data_centre_that_no_node_is_in_is_refused_with_those_that_there_are() {
    let keyspace = Keyspace::fresh().await;
    let misspelt =
        CassandraOptions { datacenter: Some("datacentre1".to_owned()), ..keyspace.options() };
    for refused in [
        CassandraStore::open(misspelt.clone()).await.unwrap_err(),
        setup(&misspelt, &"1".parse().unwrap()).await.unwrap_err(),
    ] {
        assert!(matches!(refused, CassandraOpenError::Option { .. }), "{refused:?}");
        let message = refused.to_string();
        assert!(
            message.contains("\"datacentre1\"") && message.ends_with("the cluster has datacenter1"),
            "{message}"
        );
    }
    let right =
        CassandraOptions { datacenter: Some("datacenter1".to_owned()), ..keyspace.options() };
    CassandraStore::open(right).await.unwrap();
    keyspace.remove().await;
}

#[tokio::test]
async fn an_option_that_cannot_be_right_is_named() {
    for (options, name) in [
        (CassandraOptions { keyspace: "no; DROP".to_owned(), ..options() }, "keyspace"),
        (CassandraOptions { nodes: Vec::new(), ..options() }, "nodes"),
        (CassandraOptions { max_in_flight: 0, ..options() }, "in flight"),
        (CassandraOptions { max_in_flight: 1_001, ..options() }, "1024 requests"),
    ] {
        let refused = CassandraStore::open(options).await.unwrap_err().to_string();
        assert!(refused.contains(name), "{refused}");
    }
}

/// The schema of this program, followed by a version 2.
fn with_version_2(statements: &str) -> String {
    let schema = include_str!("../../../../deploy/schema.cql");
    format!("{schema}\n-- version 2\n{statements}")
}

const VERSION_2: &str = "\
    ALTER TABLE countries ADD first_day date;\n\
    -- A table of its own.\n\
    CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, text text) WITH comment = 'notes';\n\
    CREATE TYPE IF NOT EXISTS place (city text);\n\
    ALTER TABLE countries WITH comment = 'version 2';\n";

/// The recorded versions, and whether all of version 2 is applied.
async fn state(options: &CassandraOptions) -> (Vec<i32>, bool) {
    let (connection, keyspace) = (connect(options).await, &options.keyspace);
    let select = format!("SELECT version FROM {keyspace}.schema_migrations WHERE name = 'bookend'");
    let rows = connection.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
    let versions = rows.rows::<(i32,)>().unwrap().map(|row| row.unwrap().0).collect();
    let select =
        "SELECT comment FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let rows = connection.query_unpaged(select, (keyspace, "countries")).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    let (comment,) = rows.single_row::<(String,)>().unwrap();
    let used = format!("SELECT first_day FROM {keyspace}.countries LIMIT 1");
    let column = connection.query_unpaged(used, ()).await.is_ok();
    let used = format!("SELECT id FROM {keyspace}.notes LIMIT 1");
    let table = connection.query_unpaged(used, ()).await.is_ok();
    (versions, comment == "version 2" && column && table)
}

#[tokio::test]
async fn a_change_of_the_schema_that_was_interrupted_is_continued() {
    let keyspace = Keyspace::fresh().await;
    let replication = "1".parse().unwrap();
    // The last statement fails: the ones before it are applied, but the version is not recorded.
    let broken =
        with_version_2("ALTER TABLE countries ADD first_day date;\nALTER TABLE nowhere ADD a int;");
    let failed = setup_from(&broken, &keyspace.0, &replication).await.unwrap_err();
    assert!(failed.to_string().contains("nowhere"), "{failed}");
    assert_eq!(state(&keyspace.0).await, (vec![1], false));

    let done = setup_from(&with_version_2(VERSION_2), &keyspace.0, &replication).await.unwrap();
    let expected = [
        "schema version 1 is already recorded",
        "created table notes",
        "created type place",
        "changed the options of table countries",
        "recorded schema version 2",
    ];
    assert_eq!(done[1..], expected, "the column is not added twice");
    assert_eq!(state(&keyspace.0).await, (vec![1, 2], true));
    let again = setup_from(&with_version_2(VERSION_2), &keyspace.0, &replication).await.unwrap();
    assert_eq!(again.len(), 3, "{again:?}");
    keyspace.remove().await;
}

#[tokio::test]
async fn two_setups_at_once_are_one() {
    let options = options();
    let (schema, replication) = (with_version_2(VERSION_2), "1".parse().unwrap());
    let run = || setup_from(&schema, &options, &replication);
    let (one, other, third) = tokio::join!(run(), run(), run());
    for done in [one, other, third] {
        done.unwrap();
    }
    assert_eq!(state(&options).await, (vec![1, 2], true));
    CassandraStore::open(options.clone()).await.unwrap();
    Keyspace(options).remove().await;
}

#[tokio::test]
async fn a_statement_that_is_not_safe_to_repeat_is_refused_before_anything_is_done() {
    let options = options();
    let unsafe_schema = with_version_2("ALTER TABLE facts DROP seen;");
    let refused = setup_from(&unsafe_schema, &options, &"1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(refused, CassandraOpenError::Statement(_)), "{refused:?}");
    let missing = CassandraStore::open(options).await.unwrap_err();
    assert!(matches!(missing, CassandraOpenError::NoSchema { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_setup_and_used_with_one_warning() {
    let keyspace = Keyspace::fresh().await;
    let replication = "1".parse().unwrap();
    setup_from(&with_version_2(VERSION_2), &keyspace.0, &replication).await.unwrap();
    let refused = setup(&keyspace.0, &replication).await.unwrap_err();
    let CassandraOpenError::NewerSchema { recorded: 2, known: 1, .. } = refused else {
        panic!("{refused:?}")
    };

    let (lines, guard) = Lines::collect();
    CassandraStore::open(keyspace.options()).await.unwrap();
    drop(guard);
    let warnings = lines.with("newer than");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("WARN") && warnings[0].contains("recorded=2"), "{warnings:?}");
    keyspace.remove().await;
}
