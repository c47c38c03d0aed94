//! A keyspace of one's own on a real Cassandra for each test.

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

/// How much longer than a year a row lives here, in milliseconds: tests wait for it.
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
        // The stack may still hold those of an earlier run.
        keyspace: format!(
            "contract_{}_{}_{number}",
            Clock::machine().now().millis(),
            std::process::id()
        ),
        margin_ms: MARGIN,
        ..CassandraOptions::default()
    }
}

/// A connection beside the store's.
pub(crate) async fn connect(options: &CassandraOptions) -> Session {
    SessionBuilder::new().known_nodes(&options.nodes).build().await.unwrap()
}

/// How many partitions of starts there are of each layout.
pub(crate) async fn layouts(options: &CassandraOptions) -> BTreeMap<i16, usize> {
    let question = format!("SELECT shards, shard FROM {}.start_partitions", options.keyspace);
    let partitions = connect(options).await.query_unpaged(question, ()).await.unwrap();
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

    /// Waits for an end that is written now and leaves last of those that were written before.
    async fn leave(&self, store: &Store, horizon: Timestamp) {
        let last = horizon.millis() + SECOND;
        let session = format!("last {last}");
        absorb_at(store, "leaving", &session, &[end(last)], before()).await;
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !facts(store, "leaving", &session).await.is_empty() {
            assert!(std::time::Instant::now() < limit, "its time to live is over");
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
