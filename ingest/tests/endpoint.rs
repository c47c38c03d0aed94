//! The endpoint over real HTTP: the reply to each client, and the records in the log after it.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{net::SocketAddr, sync::Arc};

use ingest::{
    http::{Endpoint, EndpointOptions, routes},
    log::{EmbeddedLog, Log, Record, embedded::EmbeddedLogOptions},
    metrics::IngestMetrics,
};
use prometheus::{Registry, TextEncoder};
use shared::{
    clock::Clock,
    http::{DrainEnd, Router, ServeOptions, serve},
    timestamp::Timestamp,
};
use tempfile::TempDir;
use test_support::connection::LIMIT;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

#[path = "endpoint/bodies.rs"]
mod bodies;
#[path = "endpoint/faults.rs"]
mod faults;
#[path = "endpoint/replies.rs"]
mod replies;

/// A server with the endpoint and an embedded log.
struct Server {
    address: SocketAddr,
    log: Log,
    registry: Registry,
    dir: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

#[derive(Default)]
struct Options {
    endpoint: EndpointOptions,
    connections: ServeOptions,
    /// The free space to keep on the disk, in bytes.
    reserve: u64,
}

/// The time of every test.
fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").unwrap()
}

impl Server {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn limited(endpoint: EndpointOptions) -> Self {
        Self::with(Options { endpoint, ..Options::default() }).await
    }

    async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::starting_at(now());
        let log = open(&dir, options.reserve);
        let registry = Registry::new();
        let metrics = Arc::new(IngestMetrics::new(&registry).unwrap());
        let endpoint = Arc::new(Endpoint::new(log.clone(), clock, metrics, options.endpoint));
        let routes = Router::default().with(&endpoint, routes()).into_filter().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, routes, options.connections, async {
            stopped.await.ok();
            DrainEnd::at_once()
        }));
        Self { address, log, registry, dir, stop, served }
    }

    /// The value of one series, such as `name{label="value"}`.
    fn metric(&self, series: &str) -> f64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("there is no series {series}")).parse().unwrap()
    }

    fn accepted(&self) -> f64 {
        self.metric(r#"bookend_ingest_events_total{code="",outcome="accepted"}"#)
    }

    fn inflight(&self) -> f64 {
        self.metric("bookend_ingest_inflight_bytes")
    }

    /// The number of records in the log.
    fn appended(&self) -> i64 {
        self.log.positions().values().map(|position| position.end).sum()
    }

    /// Stops the server, opens the log again, and returns all its records.
    async fn after_a_restart(self) -> Vec<Record> {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap();
        drop(self.log);
        let log = open(&self.dir, 0);
        let (mut cursor, mut all) = (log.cursor(), Vec::new());
        loop {
            let more = log.read(&mut cursor, 1 << 20).await.unwrap();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}

fn open(dir: &TempDir, reserve_bytes: u64) -> Log {
    let options = EmbeddedLogOptions { reserve_bytes, ..EmbeddedLogOptions::default() };
    Log::Embedded(EmbeddedLog::open(dir.path(), options, Clock::starting_at(now())).unwrap())
}

/// A start as it is written to the log.
fn start(user: &str) -> String {
    format!(
        r#"{{"user_id":"{user}","session_id":"s","event":"start","ts":"2026-03-01T11:00:00Z","country":"SK"}}"#
    )
}

/// `count` starts of different users, as a batch.
fn batch(count: usize) -> String {
    let events: Vec<_> = (0..count).map(|user| start(&format!("u{user}"))).collect();
    format!("[{}]", events.join(","))
}
