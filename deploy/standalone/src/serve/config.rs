//! The configuration of `bookend serve`.

use std::path::PathBuf;

use ingest::{
    config::{self as ingest_config, Limits},
    log::config::{self as log_config, LogConfig},
};
use query_api::QueryOptions;
use shared::{
    cli::{self, ProcessConfig},
    config::{Bytes, Mistakes, Setting, Settings},
    store::config::{self as store_config, StoreConfig},
    words,
};

/// The configuration of `bookend serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The configuration of every process.
    pub process: ProcessConfig,
    /// The directory of the embedded log and the embedded store.
    pub data_dir: PathBuf,
    /// Limits of the endpoint and the consumer.
    pub limits: Limits,
    /// The log.
    pub log: LogConfig,
    /// The store.
    pub store: StoreConfig,
    /// The options of queries.
    pub queries: QueryOptions,
}

/// The backend of the log.
#[derive(Default)]
enum LogBackend {
    #[default]
    Embedded,
    Kafka,
}

/// The backend of the store.
#[derive(Default)]
enum StoreBackend {
    #[default]
    Embedded,
    Cassandra,
}

/// The settings of `bookend serve`.
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    let mut all = cli::settings("127.0.0.1:5000");
    all.extend([
        Setting::new("log", "BACKEND", "embedded", "Backend of the log; embedded: in the data directory").one_of::<LogBackend>().common(),
        Setting::new("store", "BACKEND", "embedded", "Backend of the store; embedded: in the data directory").one_of::<StoreBackend>().common(),
        Setting::new("data-dir", "DIR", "./bookend-data", "Directory of the embedded log and store; created if missing").common(),
        Setting::new("min-free-disk", "BYTES", "256MiB", "Reject batches with 503 when the disk of the data directory has less free space"),
    ]);
    all.extend(ingest_config::settings());
    all.extend(query_api::config::settings());
    all.extend(log_config::embedded_settings());
    all.extend(store_config::embedded_settings());
    all.extend(log_config::kafka_settings());
    all.extend(store_config::cassandra_settings());
    all
}

impl ServeConfig {
    /// Reads the settings for a command that serves nothing.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        let config = Self::read(&mut given);
        given.finish(config)
    }

    /// Reads the settings for the service.
    pub fn for_service(mut given: Settings) -> Result<Self, Mistakes> {
        let config = Self::read(&mut given);
        config.process.check_access(false, &mut given);
        given.finish(config)
    }

    fn read(given: &mut Settings) -> Self {
        let data_dir: PathBuf = given.get("data-dir");
        let reserve_bytes = given.get_or("min-free-disk", Bytes(0)).0;
        let mut log = match given.get("log") {
            LogBackend::Embedded => LogConfig::embedded(given, &data_dir, reserve_bytes),
            LogBackend::Kafka => LogConfig::kafka(given),
        };
        let limits = Limits::read(given, &mut log);
        let tolerance = limits.endpoint.future_tolerance_ms;
        let queries = QueryOptions::read(given, tolerance);
        let store = match given.get("store") {
            StoreBackend::Embedded => StoreConfig::embedded(given, &data_dir, reserve_bytes),
            StoreBackend::Cassandra => StoreConfig::cassandra(given),
        };
        let config = Self {
            process: ProcessConfig::read(given),
            store: store.for_queries(queries.deadline),
            queries,
            limits,
            log,
            data_dir,
        };
        config.store.check_files(given);
        config
    }
}

words!(LogBackend: "embedded" => Embedded, "kafka" => Kafka);
words!(StoreBackend: "embedded" => Embedded, "cassandra" => Cassandra);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use clap::Command;
    use ingest::{
        consumer::ConsumerOptions,
        http::EndpointOptions,
        log::{embedded::EmbeddedLogOptions, kafka::KafkaLogOptions},
    };
    use shared::{
        config::args,
        http::ServeOptions,
        store::{cassandra::CassandraOptions, embedded::EmbeddedStoreOptions},
    };

    use super::*;

    /// The configuration without any setting but the backends.
    fn config(log: &str, store: &str) -> ServeConfig {
        let given = ["test", "--log", log, "--store", store];
        let matches = Command::new("test").args(args(&settings())).get_matches_from(given);
        ServeConfig::from_settings(Settings::with_variables(&settings(), &matches, |_| None))
            .unwrap()
    }

    fn assert_same(setting: &impl Debug, option: &impl Debug) {
        assert_eq!(format!("{setting:#?}"), format!("{option:#?}"));
    }

    #[test]
    fn the_default_of_a_setting_is_the_default_of_what_it_configures() {
        let ServeConfig { process, limits, queries, .. } = config("embedded", "embedded");
        assert_same(&queries, &QueryOptions::default());
        assert_same(&process.connections, &ServeOptions::default());
        assert_same(&limits.endpoint, &EndpointOptions::default());
        assert_same(&limits.consumer, &ConsumerOptions::default());
    }

    #[test]
    fn the_default_of_a_setting_is_the_default_of_its_backend() {
        let ServeConfig { log, store, .. } = config("embedded", "embedded");
        let LogConfig::Embedded(_, log) = log else { panic!("{log:?}") };
        assert_same(&log, &EmbeddedLogOptions::default());
        let StoreConfig::Embedded(_, store) = store else { panic!("{store:?}") };
        assert_same(&store, &EmbeddedStoreOptions::default());

        let ServeConfig { log, store, .. } = config("kafka", "cassandra");
        let LogConfig::Kafka(log, _) = log else { panic!("{log:?}") };
        let defaults = KafkaLogOptions::default();
        let hidden = |options: &KafkaLogOptions| {
            let KafkaLogOptions { group_protocol, mechanism, append_bytes, poll_bytes, .. } =
                options;
            let times =
                [options.session_timeout, options.delivery_timeout, options.append_deadline];
            (*group_protocol, *mechanism, *append_bytes, *poll_bytes, times)
        };
        assert_same(&log, &defaults);
        assert_same(&hidden(&log), &hidden(&defaults));
        let StoreConfig::Cassandra(store, _) = store else { panic!("{store:?}") };
        assert_same(&store, &CassandraOptions::default());
    }
}
