//! The settings of the endpoint and the consumer, and of the program `ingest`.

use std::num::NonZero;

use shared::{
    access::TrustedProxies,
    cli::{ProcessConfig, Threads},
    config::{Bytes, DurationValue, Mistakes, Setting, Settings},
    store::config::{StoreConfig, cassandra_settings},
    words,
};

use crate::{
    consumer::ConsumerOptions,
    http::EndpointOptions,
    log::config::{LogConfig, kafka_settings},
};

/// The limits of the endpoint and the consumer.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The limits of the endpoint.
    pub endpoint: EndpointOptions,
    /// The limits of the consumer.
    pub consumer: ConsumerOptions,
}

/// The parts of ingest that a process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The endpoint.
    Http,
    /// The consumer.
    Consumer,
    /// Both.
    #[default]
    Both,
}

impl Role {
    /// The share of the processors. A consumer waits for its store most of the time; on a shared
    /// machine the store needs the other half.
    #[must_use]
    pub fn threads(self) -> Threads {
        match self {
            Self::Consumer => Threads::Half,
            Self::Http | Self::Both => Threads::All,
        }
    }
}

/// The configuration of the program `ingest`.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// The settings that every process has.
    pub process: ProcessConfig,
    /// The parts to run.
    pub role: Role,
    /// The log.
    pub log: LogConfig,
    /// The store.
    pub store: StoreConfig,
    /// The limits.
    pub limits: Limits,
}

/// The settings of [`Limits`].
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    let setting = |name, value, default, help| Setting::new(name, value, default, help).under("Ingest");
    vec![
        setting("body-timeout", "TIME", "15s", "Time limit for receiving a request body; slower clients get 408"),
        setting("max-batch-events", "N", "1000", "Maximum number of events in a batch"),
        setting("max-body", "BYTES", "1MiB", "Maximum size of a request body, before and after decompression"),
        setting("max-inflight", "BYTES", "64MiB", "Maximum total size of request bodies in memory; further requests get 503"),
        setting("future-tolerance", "TIME", "5m", "How far in the future the time of an event may be"),
        setting("quota", "N", "", "Events/s per address, one bucket behind a proxy without --trusted-proxies [default: no limit]"),
        setting("consumer-batch", "BYTES", "", "Size of the records that the consumer processes together [default: 1MiB embedded, 24MiB Kafka]"),
        setting("log-partitions", "N", "6", "Number of partitions of a new log"),
    ]
}

/// All settings of the program `ingest`.
#[must_use]
pub fn program_settings() -> Vec<Setting> {
    let role = "Parts to run; http is the endpoint";
    let mut all = shared::cli::settings("127.0.0.1:5000");
    all.push(Setting::new("role", "ROLE", "both", role).one_of::<Role>().common());
    all.extend(settings());
    all.extend(kafka_settings());
    all.extend(cassandra_settings());
    all
}

impl Limits {
    /// Reads the settings, and sizes the record buffer of `log`. Mistakes are recorded in `given`.
    pub fn read(given: &mut Settings, log: &mut LogConfig) -> Self {
        let future_tolerance_ms = given.get::<DurationValue>("future-tolerance").millis();
        let (batch_bytes, batches) = log.micro_batches();
        let batch_bytes = given.get_optional("consumer-batch").map_or(batch_bytes, whole);
        log.set_buffer(batch_bytes);
        let limits = Self {
            endpoint: EndpointOptions {
                max_events: given.get_or("max-batch-events", NonZero::<usize>::MIN).get(),
                max_body_bytes: size(given, "max-body"),
                max_inflight_bytes: size(given, "max-inflight"),
                body_timeout: given.duration("body-timeout"),
                future_tolerance_ms,
                quota_events_per_second: given.get_optional("quota"),
                trusted_proxies: TrustedProxies::all(given.get_list("trusted-proxies")),
                append_timeout: log
                    .append_deadline()
                    .unwrap_or(EndpointOptions::default().append_timeout),
            },
            consumer: ConsumerOptions {
                batch_bytes,
                batches,
                future_tolerance_ms,
                ..ConsumerOptions::default()
            },
        };
        if limits.endpoint.max_inflight_bytes < 2 * limits.endpoint.max_body_bytes {
            given.mistake(
                "max-inflight",
                "must be at least twice --max-body, to hold one body compressed and decompressed",
            );
        }
        limits
    }
}

impl IngestConfig {
    /// Reads the settings.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        let mut log = LogConfig::kafka(&mut given);
        let config = Self {
            process: ProcessConfig::read(&mut given),
            role: given.get("role"),
            store: StoreConfig::cassandra(&mut given),
            limits: Limits::read(&mut given, &mut log),
            log,
        };
        // The endpoint shares its settings with the other roles, but not always their files.
        if config.role != Role::Http {
            config.store.check_files(&mut given);
        }
        config.process.check_access(config.role == Role::Consumer, &mut given);
        given.finish(config)
    }
}

words!(Role: "http" => Http, "consumer" => Consumer, "both" => Both);

fn size(given: &mut Settings, name: &'static str) -> usize {
    whole(given.get_or(name, Bytes(0)))
}

fn whole(Bytes(bytes): Bytes) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
