//! The settings of the endpoint and the consumer, and of the program that runs them.

use std::str::FromStr;

use shared::{
    cli::{ProcessConfig, Threads},
    config::{Bytes, DurationValue, Mistakes, Setting, Settings},
    store::config::{StoreConfig, cassandra_settings},
};

use crate::{
    consumer::ConsumerOptions,
    http::EndpointOptions,
    log::config::{LogConfig, kafka_settings},
};

/// Limits on what clients and the consumer may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Those of the endpoint.
    pub endpoint: EndpointOptions,
    /// Those of the consumer.
    pub consumer: ConsumerOptions,
}

/// What a process does of the two things that ingest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Takes batches.
    Http,
    /// Pairs what was taken.
    Consumer,
    /// Both.
    #[default]
    Both,
}

impl Role {
    /// A consumer waits for its store most of the time, and where that is on the same machine, it is the store that has the most
    /// to do.
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
    /// What every process is told.
    pub process: ProcessConfig,
    /// Its role.
    pub role: Role,
    /// The log.
    pub log: LogConfig,
    /// The store.
    pub store: StoreConfig,
    /// Limits.
    pub limits: Limits,
}

/// The settings of [`Limits`].
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    let setting = |name, value, default, help| Setting::new(name, value, default, help).under("Ingest");
    vec![
        setting("body-timeout", "TIME", "15s", "How long a client may take to send a body; then it is answered 408"),
        setting("max-batch-events", "N", "1000", "The most events in a batch"),
        setting("max-body", "BYTES", "1MiB", "The longest body of a batch, before and after inflating"),
        setting("max-inflight", "BYTES", "64MiB", "The most bytes of bodies held at once; one more is answered 503"),
        setting("future-tolerance", "TIME", "5m", "How much later than now an event may be"),
        setting("quota", "N", "", "The most events a second from one client address; more is answered 429; off by default"),
        setting("consumer-batch", "BYTES", "", "How many bytes of records are handled together, as far as so many wait; by default 1MiB of an embedded log, and 24MiB of Kafka's, where more together cost the store less and twice as much is kept ready"),
        setting("log-partitions", "N", "6", "How many partitions a new log gets"),
    ]
}

/// All settings of the program `ingest`.
#[must_use]
pub fn program_settings() -> Vec<Setting> {
    let role = "What this process does: http (take batches), consumer (pair them) or both";
    let mut all = shared::cli::settings("127.0.0.1:5000");
    all.push(Setting::new("role", "ROLE", "both", role));
    all.extend(settings());
    all.extend(kafka_settings());
    all.extend(cassandra_settings());
    all
}

impl Limits {
    /// Reads the settings, for what appends to `log` and polls it, which is told of its share; mistakes are noted in `given`.
    pub fn read(given: &mut Settings, log: &mut LogConfig) -> Self {
        let future_tolerance_ms = given.get::<DurationValue>("future-tolerance").millis();
        let (batch_bytes, batches) = log.micro_batches();
        let batch_bytes = given.get_optional("consumer-batch").map_or(batch_bytes, whole);
        log.keep_ready(batch_bytes);
        let limits = Self {
            endpoint: EndpointOptions {
                max_events: given.get("max-batch-events"),
                max_body_bytes: size(given, "max-body"),
                max_inflight_bytes: size(given, "max-inflight"),
                body_timeout: given.duration("body-timeout"),
                future_tolerance_ms,
                quota_events_per_second: given.get_optional("quota"),
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
                "it must hold at least one body, sent and inflated: twice --max-body",
            );
        }
        limits
    }
}

impl IngestConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// All [`Mistakes`] together.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        let mut log = LogConfig::kafka(&mut given);
        let config = Self {
            process: ProcessConfig::read(&mut given),
            role: given.get("role"),
            store: StoreConfig::cassandra(&mut given),
            limits: Limits::read(&mut given, &mut log),
            log,
        };
        given.finish(config)
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "http" => Ok(Self::Http),
            "consumer" => Ok(Self::Consumer),
            "both" => Ok(Self::Both),
            _ => Err("write http, consumer or both"),
        }
    }
}

fn size(given: &mut Settings, name: &'static str) -> usize {
    whole(given.get_or(name, Bytes(0)))
}

fn whole(Bytes(bytes): Bytes) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
