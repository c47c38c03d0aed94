//! Cassandra as a backend: each test has its own keyspace on a real server.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use scylla::client::{session::Session, session_builder::SessionBuilder};
use shared::{
    clock::Clock,
    store::{
        CassandraStore, Store,
        cassandra::{CassandraOptions, setup},
    },
    timestamp::{SECOND, Timestamp},
};

use crate::{Backend, absorb_at, before, end, facts, stack::Stack};

#[path = "cassandra/login.rs"]
mod login;
#[path = "cassandra/processes.rs"]
mod processes;
#[path = "cassandra/schema.rs"]
mod schema;
#[path = "cassandra/tables.rs"]
mod tables;
#[path = "cassandra/wire.rs"]
mod wire;

/// A keyspace with the tables.
pub(crate) struct Keyspace(CassandraOptions);

/// The margin of the tests in milliseconds. Tests wait for rows to expire, so it is short.
const MARGIN: i64 = 2 * SECOND;

impl Keyspace {
    pub(crate) fn options(&self) -> CassandraOptions {
        self.0.clone()
    }
}

pub(crate) fn options() -> CassandraOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    CassandraOptions {
        nodes: Stack::shared_plain().cassandra_nodes().split(',').map(str::to_owned).collect(),
        // The server may still have the keyspaces of an earlier run.
        keyspace: format!(
            "contract_{}_{}_{number}",
            Clock::machine().now().millis(),
            std::process::id()
        ),
        margin_ms: MARGIN,
        ..CassandraOptions::default()
    }
}

/// Opens a connection besides the store's.
pub(crate) async fn connect(options: &CassandraOptions) -> Session {
    SessionBuilder::new().known_nodes(&options.nodes).build().await.unwrap()
}

/// The number of partitions of starts of each layout.
pub(crate) async fn layouts(options: &CassandraOptions) -> BTreeMap<i16, usize> {
    let select = format!("SELECT shards, shard FROM {}.start_partitions", options.keyspace);
    let partitions = connect(options).await.query_unpaged(select, ()).await.unwrap();
    let partitions = partitions.into_rows_result().unwrap();
    let mut layouts = BTreeMap::new();
    for row in partitions.rows::<(i16, i16)>().unwrap() {
        *layouts.entry(row.unwrap().0).or_default() += 1;
    }
    layouts
}

impl Backend for Keyspace {
    async fn fresh() -> Self {
        let options = options();
        setup(&options, &"1".parse().unwrap()).await.unwrap();
        Self(options)
    }

    async fn open(&self) -> Store {
        Store::Cassandra(CassandraStore::open(self.options()).await.unwrap().into())
    }

    /// Writes an end that expires after everything before `horizon`, and waits until it has
    /// expired.
    async fn leave(&self, store: &Store, horizon: Timestamp) {
        let last = horizon.millis() + SECOND;
        let session = format!("last {last}");
        absorb_at(store, "leaving", &session, &[end(last)], before()).await;
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !facts(store, "leaving", &session).await.is_empty() {
            assert!(std::time::Instant::now() < limit, "the row has not expired");
        }
    }

    async fn remove(self) {
        connect(&self.0)
            .await
            .query_unpaged(format!("DROP KEYSPACE {}", self.0.keyspace), ())
            .await
            .unwrap();
    }
}
