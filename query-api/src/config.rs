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

/// The settings of queries, for every program that answers them.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let deadline = "Time limit for the first byte of a reply to a query, then without progress";
    vec![Setting::new("query-deadline", "TIME", "12s", deadline).under("Queries")]
}

/// The settings of the program `query-api`.
#[must_use]
pub fn program_settings() -> Vec<Setting> {
    let tolerance = "How far in the future the time of an event may be; must equal that of ingest";
    let mut all = shared::cli::settings("127.0.0.1:5001");
    all.push(Setting::new("future-tolerance", "TIME", "5m", tolerance));
    all.extend(settings());
    all.extend(cassandra_settings());
    all
}

impl QueryOptions {
    /// Reads the settings of queries, for a tolerance that is read elsewhere.
    pub fn read(given: &mut Settings, future_tolerance_ms: i64) -> Self {
        let deadline = given.duration("query-deadline");
        if deadline.is_zero() {
            given.mistake("query-deadline", "it must be longer than 0s");
        }
        Self { future_tolerance_ms, deadline, ..Self::default() }
    }
}

impl QueryConfig {
    /// Reads the settings.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        let future_tolerance_ms = given.get::<DurationValue>("future-tolerance").millis();
        let options = QueryOptions::read(&mut given, future_tolerance_ms);
        let config = Self {
            process: ProcessConfig::read(&mut given),
            store: StoreConfig::cassandra(&mut given).for_queries(options.deadline),
            options,
        };
        config.store.check_files(&mut given);
        config.process.check_access(false, &mut given);
        given.finish(config)
    }
}
