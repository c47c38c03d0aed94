//! Which store, and how it is reached: the settings of every program that has one.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    CassandraStore, EmbeddedStore, Store,
    cassandra::{CassandraOptions, CassandraTls, OnRetry, Replication, setup},
    embedded::EmbeddedStoreOptions,
};
use crate::{
    config::{Bytes, Setting, Settings},
    progress::Progress,
};

/// A store that is not open yet.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// In this process, in a directory.
    Embedded(PathBuf, EmbeddedStoreOptions),
    /// In a keyspace of Cassandra.
    Cassandra(Box<CassandraOptions>, Replication),
}

/// The settings of the embedded store.
#[must_use]
#[rustfmt::skip]
pub fn embedded_settings() -> Vec<Setting> {
    let setting = |name, value, default, help| Setting::new(name, value, default, help).under("Embedded store");
    vec![
        setting("store-cache", "BYTES", "48MiB", "Memory of the embedded store for what it read"),
        setting("store-buffer", "BYTES", "48MiB", "Memory of the embedded store for what it has not sorted to disk"),
    ]
}

/// The settings of the store in Cassandra.
#[must_use]
#[rustfmt::skip]
pub fn cassandra_settings() -> Vec<Setting> {
    let settings = [
        Setting::list("cassandra-nodes", "HOST:PORT", "Where to begin (repeatable, or with commas); the other nodes are found from there; 127.0.0.1:9042 without any"),
        Setting::new("cassandra-keyspace", "NAME", "bookend", "The keyspace of the tables"),
        Setting::new("cassandra-datacenter", "NAME", "", "Ask the nodes of this data centre alone, at LOCAL_QUORUM; the same for every process"),
        Setting::new("cassandra-replication", "N", "3", "On how many nodes `bookend setup` makes a new keyspace keep every row: 3, or east:3,west:3 by data centre"),
        Setting::new("cassandra-username", "NAME", "", "Who logs in"),
        Setting::secret("cassandra-password", "With which password"),
        Setting::switch("cassandra-tls", "Encrypt connections; the certificate of every node is verified"),
        Setting::new("cassandra-ca-file", "FILE", "/etc/ssl/certs/ca-certificates.crt", "The certificates by which a node is believed, in PEM"),
        Setting::new("cassandra-server-name", "NAME", "", "The name that the certificate of every node holds; its address otherwise"),
        Setting::new("cassandra-max-in-flight", "N", "512", "The most requests under way at once"),
    ];
    settings.map(|setting| setting.under("Cassandra")).into()
}

impl StoreConfig {
    /// Reads the settings of the embedded store below `data_dir`.
    pub fn embedded(given: &mut Settings, data_dir: &Path, reserve_bytes: u64) -> Self {
        let options = EmbeddedStoreOptions {
            cache_bytes: given.get_or("store-cache", Bytes(0)).0,
            write_buffer_bytes: given.get_or("store-buffer", Bytes(0)).0,
            reserve_bytes,
        };
        Self::Embedded(data_dir.join("store"), options)
    }

    /// Reads the settings of the store in Cassandra.
    pub fn cassandra(given: &mut Settings) -> Self {
        let defaults = CassandraOptions::default();
        let nodes: Vec<String> = given.get_list("cassandra-nodes");
        let nodes = nodes.iter().flat_map(|nodes| nodes.split(','));
        let mut nodes: Vec<_> = nodes.map(|node| node.trim().to_owned()).collect();
        if nodes.is_empty() {
            nodes = defaults.nodes.clone();
        }
        let tls = CassandraTls {
            ca_file: given.get("cassandra-ca-file"),
            server_name: given.get_optional("cassandra-server-name"),
        };
        let options = CassandraOptions {
            nodes,
            keyspace: given.get("cassandra-keyspace"),
            datacenter: given.get_optional("cassandra-datacenter"),
            username: given.get_optional("cassandra-username"),
            password: given.secret("cassandra-password"),
            tls: given.get::<bool>("cassandra-tls").then_some(tls),
            max_in_flight: given.get_or("cassandra-max-in-flight", defaults.max_in_flight),
            ..defaults
        };
        if options.username.is_some() != options.password.is_some() {
            given.mistake(
                "cassandra-username",
                "to log in takes both a name and a password (BOOKEND_CASSANDRA_PASSWORD)",
            );
        }
        if options.max_in_flight == 0 {
            given.mistake("cassandra-max-in-flight", "nothing could be asked");
        }
        let replication = given.get_or("cassandra-replication", Replication::default());
        Self::Cassandra(Box::new(options), replication)
    }

    /// Opens the store; `on_retry` is told of requests to Cassandra that are tried again.
    ///
    /// # Errors
    /// Says which store cannot be opened, and why.
    pub async fn open(&self, on_retry: OnRetry) -> anyhow::Result<Store> {
        let _waiting = match self {
            Self::Embedded(dir, _) => {
                Progress::waiting(format!("opening the store in {}", dir.display()))
            }
            Self::Cassandra(options, _) => {
                Progress::waiting(format!("waiting for Cassandra at {}", options.nodes.join(", ")))
            }
        };
        match self {
            Self::Embedded(dir, options) => {
                let store = EmbeddedStore::open(dir, *options);
                Ok(Store::Embedded(store.with_context(|| format!("{}", dir.display()))?))
            }
            Self::Cassandra(options, _) => {
                let options = CassandraOptions { on_retry, ..CassandraOptions::clone(options) };
                Ok(Store::Cassandra(CassandraStore::open(options).await?))
            }
        }
    }

    /// Makes the tables that are missing; says in sentences what was done.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub async fn setup(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Embedded(..) => Ok(vec!["the embedded store needs no setup".to_owned()]),
            Self::Cassandra(options, replication) => {
                let _waiting =
                    Progress::waiting(format!("making the tables at {}", options.nodes.join(", ")));
                Ok(setup(options, replication).await?)
            }
        }
    }
}
