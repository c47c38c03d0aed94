//! The configuration of `bookend serve`: its settings, read and checked together.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use ingest::{
    consumer::ConsumerOptions,
    http::EndpointOptions,
    log::{EmbeddedLog, Log, embedded::EmbeddedLogOptions},
};
use shared::{
    clock::Clock,
    config::{Bytes, Mistakes, Setting, Settings, Span},
    http::ServeOptions,
    store::{EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    telemetry::{self, LogFormat},
    timestamp::Timestamp,
};

/// The configuration of `bookend serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The address of the one port.
    pub listen: SocketAddr,
    /// Where the log and the store live.
    pub data_dir: PathBuf,
    /// When the clock starts; now when it is not given.
    pub as_of: Option<Timestamp>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: String,
    /// Limits on connections.
    pub connections: ServeOptions,
    /// Limits on batches.
    pub endpoint: EndpointOptions,
    /// What the consumer may use.
    pub consumer: ConsumerOptions,
    /// What the embedded log may use.
    pub log: EmbeddedLogOptions,
    /// What the embedded store may use.
    pub store: EmbeddedStoreOptions,
}

/// The settings of `bookend serve`.
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    let setting = Setting::new;
    vec![
        setting("listen", "ADDRESS", "127.0.0.1:5000", "Where to listen, for events, questions and metrics alike"),
        setting("data-dir", "DIR", "./bookend-data", "Where the log and the store live; made when it is missing"),
        setting("as-of", "TIME", "", "Start the clock at this instant, as 2019-05-13T12:00:00Z, to load and ask about old data as if it were then"),
        setting("log", "BACKEND", "embedded", "Where events are kept safe: embedded"),
        setting("store", "BACKEND", "embedded", "Where sessions live: embedded"),
        setting("log-format", "FORMAT", "human", "How log lines are written: human or json"),
        setting("log-level", "FILTER", "info", "Which log lines are written: error, warn, info, debug, or a filter as ingest=debug,info"),
        setting("max-connections", "N", "4096", "How many connections may be open at once; one more is answered 503"),
        setting("header-timeout", "TIME", "15s", "How long a client may take to send the headers of a request"),
        setting("body-timeout", "TIME", "15s", "How long a client may take to send a body; then it is answered 408"),
        setting("write-timeout", "TIME", "30s", "How long a client may leave an answer unread; then it is cut off"),
        setting("drain-timeout", "TIME", "20s", "How long requests under way may take after SIGTERM"),
        setting("max-batch-events", "N", "1000", "The most events in a batch"),
        setting("max-body", "BYTES", "1MiB", "The longest body of a batch, before and after inflating"),
        setting("max-inflight", "BYTES", "64MiB", "The most bytes of bodies held at once; one more is answered 503"),
        setting("future-tolerance", "TIME", "5m", "How much later than now an event may be"),
        setting("quota", "N", "", "The most events a second from one client address; more is answered 429; off by default"),
        setting("consumer-batch", "BYTES", "1MiB", "How many bytes of records are handled together"),
        setting("log-partitions", "N", "6", "How many partitions a new embedded log gets"),
        setting("log-segment", "BYTES", "64MiB", "The size of the files of the embedded log"),
        setting("log-retention-time", "TIME", "7d", "How long the embedded log keeps what was consumed"),
        setting("log-retention-size", "BYTES", "16GiB", "How much the embedded log keeps of what was consumed"),
        setting("store-cache", "BYTES", "48MiB", "Memory of the embedded store for what it read"),
        setting("store-buffer", "BYTES", "48MiB", "Memory of the embedded store for what it has not sorted to disk"),
        setting("min-free-disk", "BYTES", "256MiB", "Room that stays free on the disk; with less, batches are answered 503 until there is more"),
    ]
}

impl ServeConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// All [`Mistakes`] together.
    pub fn from_settings(mut given: Settings) -> Result<Self, Mistakes> {
        for backend in ["log", "store"] {
            if given.get::<String>(backend) != "embedded" {
                given.mistake(backend, "this version has one backend, embedded");
            }
        }
        let reserve_bytes = given.get_or("min-free-disk", Bytes(0)).0;
        let future_tolerance_ms = given.get_or("future-tolerance", Span(Duration::ZERO)).millis();
        let config = Self {
            listen: given.get_or("listen", SocketAddr::from(([127, 0, 0, 1], 5000))),
            data_dir: given.get("data-dir"),
            as_of: given.get_optional("as-of"),
            log_format: given.get("log-format"),
            log_level: given.get("log-level"),
            connections: ServeOptions {
                max_connections: given.get("max-connections"),
                header_timeout: given.get_or("header-timeout", Span(Duration::ZERO)).0,
                write_timeout: given.get_or("write-timeout", Span(Duration::ZERO)).0,
                drain_timeout: given.get_or("drain-timeout", Span(Duration::ZERO)).0,
            },
            endpoint: EndpointOptions {
                max_events: given.get("max-batch-events"),
                max_body_bytes: size(&mut given, "max-body"),
                max_inflight_bytes: size(&mut given, "max-inflight"),
                body_timeout: given.get_or("body-timeout", Span(Duration::ZERO)).0,
                future_tolerance_ms,
                quota_events_per_second: given.get_optional("quota"),
                ..EndpointOptions::default()
            },
            consumer: ConsumerOptions {
                batch_bytes: size(&mut given, "consumer-batch"),
                future_tolerance_ms,
                ..ConsumerOptions::default()
            },
            log: EmbeddedLogOptions {
                partitions: given.get("log-partitions"),
                segment_bytes: given.get_or("log-segment", Bytes(0)).0,
                retention_bytes: given.get_or("log-retention-size", Bytes(0)).0,
                retention_ms: given.get_or("log-retention-time", Span(Duration::ZERO)).millis(),
                reserve_bytes,
            },
            store: EmbeddedStoreOptions {
                cache_bytes: given.get_or("store-cache", Bytes(0)).0,
                write_buffer_bytes: given.get_or("store-buffer", Bytes(0)).0,
                reserve_bytes,
            },
        };
        if let Err(cause) = telemetry::check_filter(&config.log_level) {
            given.mistake("log-level", &cause);
        }
        if !(1..=64).contains(&config.log.partitions) {
            given.mistake("log-partitions", "a log has 1 to 64 partitions");
        }
        if config.endpoint.max_inflight_bytes < 2 * config.endpoint.max_body_bytes {
            given.mistake(
                "max-inflight",
                "it must hold at least one body, sent and inflated: twice --max-body",
            );
        }
        given.finish(config)
    }

    /// The clock that this configuration asks for.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.as_of.map_or_else(Clock::machine, Clock::starting_at)
    }

    /// Opens the store of the data directory.
    ///
    /// # Errors
    /// Says why it cannot be opened.
    pub fn open_store(&self) -> anyhow::Result<Store> {
        let store = EmbeddedStore::open(&self.data_dir.join("store"), self.store);
        Ok(Store::Embedded(store.with_context(|| format!("{}", self.data_dir.display()))?))
    }

    /// Opens the log of the data directory.
    ///
    /// # Errors
    /// Says why it cannot be opened.
    pub fn open_log(&self, clock: Clock) -> anyhow::Result<Log> {
        let log = EmbeddedLog::open(&self.data_dir.join("log"), self.log, clock);
        Ok(Log::Embedded(log.with_context(|| format!("{}", self.data_dir.display()))?))
    }
}

fn size(given: &mut Settings, name: &'static str) -> usize {
    usize::try_from(given.get_or(name, Bytes(0)).0).unwrap_or(usize::MAX)
}
