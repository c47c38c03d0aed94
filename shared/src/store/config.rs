//! Settings of the store, for every program that opens one.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{
    CassandraStore, EmbeddedStore, Store,
    cassandra::{
        CassandraOpenError, CassandraOptions, CassandraTls, OnRetry, Replication, Trial, setup,
    },
    embedded::{EmbeddedStoreOpenError, EmbeddedStoreOptions},
};
use crate::{
    config::{Bytes, Setting, Settings},
    progress::Progress,
};

/// The configuration of a store.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// The embedded store in a directory.
    Embedded(PathBuf, EmbeddedStoreOptions),
    /// A keyspace of Cassandra, and its replication when `setup` creates it.
    Cassandra(Box<CassandraOptions>, Replication),
}

/// Settings of the embedded store.
#[must_use]
#[rustfmt::skip]
pub fn embedded_settings() -> Vec<Setting> {
    let setting = |name, value, default, help| Setting::new(name, value, default, help).under("Embedded store");
    vec![
        setting("store-cache", "BYTES", "48MiB", "Block cache of the embedded store"),
        setting("store-buffer", "BYTES", "48MiB", "Write buffer of the embedded store"),
    ]
}

/// Settings of the store on Cassandra.
#[must_use]
#[rustfmt::skip]
pub fn cassandra_settings() -> Vec<Setting> {
    let settings = [
        Setting::list("cassandra-nodes", "HOST:PORT", "Contact points, repeatable or comma-separated [default: 127.0.0.1:9042]").common(),
        Setting::new("cassandra-keyspace", "NAME", "bookend", "Keyspace of the tables"),
        Setting::new("cassandra-datacenter", "NAME", "", "Use only this data centre, at LOCAL_QUORUM; must be the same for every process"),
        Setting::new("cassandra-replication", "N", "3", "Replicas of every row in a new keyspace, for example 3, or east:3,west:3 by data centre"),
        Setting::new("cassandra-username", "NAME", "", "User name for the login"),
        Setting::secret("cassandra-password", "Password for the login"),
        Setting::switch("cassandra-tls", "Encrypt connections and verify the certificate of every node"),
        Setting::new("cassandra-ca-file", "FILE", "/etc/ssl/certs/ca-certificates.crt", "Trusted CA certificates in PEM"),
        Setting::new("cassandra-server-name", "NAME", "", "Name to verify in node certificates instead of the address"),
        Setting::new("cassandra-max-in-flight", "N", "512", "Maximum number of requests in flight, at most 1000"),
    ];
    settings.map(|setting| setting.under("Cassandra")).into()
}

impl StoreConfig {
    /// Reads the settings of the embedded store in `data_dir`.
    pub fn embedded(given: &mut Settings, data_dir: &Path, reserve_bytes: u64) -> Self {
        let options = EmbeddedStoreOptions {
            cache_bytes: given.get_or("store-cache", Bytes(0)).0,
            write_buffer_bytes: given.get_or("store-buffer", Bytes(0)).0,
            reserve_bytes,
        };
        Self::Embedded(data_dir.join("store"), options)
    }

    /// Reads the settings of the store on Cassandra.
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
            max_in_flight: given.get_or("cassandra-max-in-flight", NonZero::<usize>::MIN).get(),
            ..defaults
        };
        if options.username.is_some() != options.password.is_some() {
            given.mistake(
                "cassandra-username",
                "a login needs a user name and a password; set --cassandra-username and BOOKEND_CASSANDRA_PASSWORD, or neither",
            );
        }
        if let Err(CassandraOpenError::Option { name, fault }) = options.check() {
            given.mistake(setting_of(name), &fault);
        }
        let replication = given.get_or("cassandra-replication", Replication::default());
        Self::Cassandra(Box::new(options), replication)
    }

    /// Limits the reads of a service that answers queries by the time limit of a query.
    #[must_use]
    pub fn for_queries(mut self, deadline: Duration) -> Self {
        if let Self::Cassandra(options, _) = &mut self {
            options.query_deadline = Some(deadline);
        }
        self
    }

    /// Checks the files that the settings name, for a process that opens the store.
    pub fn check_files(&self, given: &mut Settings) {
        let Self::Cassandra(options, _) = self else { return };
        match options.check_files() {
            Ok(()) => {}
            Err(CassandraOpenError::Option { name, fault }) => {
                given.mistake(setting_of(name), &fault);
            }
            Err(CassandraOpenError::Certificate(fault)) => {
                given.mistake("cassandra-ca-file", &fault)
            }
            Err(error) => given.mistake("cassandra-ca-file", &error.to_string()),
        }
    }

    /// Opens the store for a command that only reads. Fails if there is none, or if Cassandra
    /// cannot serve now.
    pub async fn open_existing(&self) -> anyhow::Result<Store> {
        match self {
            Self::Embedded(dir, options) => {
                open_embedded(dir, |dir| EmbeddedStore::open_existing(dir, *options))
            }
            Self::Cassandra(options, _) => {
                let nodes = options.nodes.join(", ");
                let _waiting = Progress::waiting(format!("waiting for Cassandra at {nodes}"));
                // Nobody waits for a single read of a command.
                let options =
                    CassandraOptions { query_deadline: None, ..CassandraOptions::clone(options) };
                Ok(Store::Cassandra(CassandraStore::open(options).await?.into()))
            }
        }
    }

    /// The same, but `None` if there is no embedded store.
    pub async fn open_if_present(&self) -> anyhow::Result<Option<Store>> {
        match self.open_existing().await {
            Err(error) if is_missing(&error) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens the store for a service. On Cassandra, returns at once and opens it in the background.
    /// `on_retry` is called for every retry of a request to Cassandra; the `trials` are made first.
    pub fn start(&self, on_retry: OnRetry, trials: &'static [Trial]) -> anyhow::Result<Store> {
        match self {
            Self::Embedded(dir, options) => {
                open_embedded(dir, |dir| EmbeddedStore::open(dir, *options))
            }
            Self::Cassandra(options, _) => {
                let options = CassandraOptions { on_retry, ..CassandraOptions::clone(options) };
                Ok(Store::Cassandra(CassandraStore::start(options, trials).into()))
            }
        }
    }

    /// Creates the tables that are missing. Returns one sentence for each change.
    pub async fn setup(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Embedded(..) => Ok(vec!["the embedded store needs no setup".to_owned()]),
            Self::Cassandra(options, replication) => {
                let nodes = options.nodes.join(", ");
                let _waiting = Progress::waiting(format!("setting up Cassandra at {nodes}"));
                Ok(setup(options, replication).await?)
            }
        }
    }
}

fn open_embedded(
    dir: &Path,
    open: impl FnOnce(&Path) -> Result<EmbeddedStore, EmbeddedStoreOpenError>,
) -> anyhow::Result<Store> {
    let _waiting = Progress::waiting(format!("opening the store in {}", dir.display()));
    // As the operator has named it.
    let data_dir = dir.parent().unwrap_or(dir);
    let failed = || format!("the store in {} cannot be opened", data_dir.display());
    Ok(Store::Embedded(open(dir).with_context(failed)?))
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(EmbeddedStoreOpenError::Missing))
}

/// The setting that an option of the store comes from.
fn setting_of(option: &str) -> &'static str {
    match option {
        "keyspace" => "cassandra-keyspace",
        "server name" => "cassandra-server-name",
        "limit of requests in flight" => "cassandra-max-in-flight",
        _ => "cassandra-nodes",
    }
}
