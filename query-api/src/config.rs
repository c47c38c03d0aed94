//! The settings of the program `query-api`.

use shared::{
    cli::ProcessConfig,
    config::{DurationValue, Mistakes, Setting, Settings},
    store::config::{StoreConfig, cassandra_settings},
};

use crate::QueryOptions;

/// The configuration of the program `query-api`.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// The settings of every process.
    pub process: ProcessConfig,
    /// The store.
    pub store: StoreConfig,
    /// The options of the query service.
    pub options: QueryOptions,
}

/// The settings of the program `query-api`.
#[must_use]
pub fn program_settings() -> Vec<Setting> {
    let tolerance = "How far in the future the time of an event may be; must equal that of ingest";
    let mut all = shared::cli::settings("127.0.0.1:5001");
    all.push(Setting::new("future-tolerance", "TIME", "5m", tolerance));
    all.extend(cassandra_settings());
    all
}

impl QueryConfig {
    /// Reads the settings.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        let future_tolerance_ms = given.get::<DurationValue>("future-tolerance").millis();
        let config = Self {
            process: ProcessConfig::read(&mut given),
            store: StoreConfig::cassandra(&mut given),
            options: QueryOptions { future_tolerance_ms, ..QueryOptions::default() },
        };
        given.finish(config)
    }
}
