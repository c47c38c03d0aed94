//! The consumer between a real log and a real store: its answers, commits and metrics.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use ingest::{
    consumer::{Consumer, ConsumerError, ConsumerOptions, Decide},
    log::{DeadLetterCode, EmbeddedLog, Log, NewRecord, embedded::EmbeddedLogOptions, murmur2},
    metrics::ConsumerMetrics,
    pairing::{Arrival, decide},
};
use prometheus::{Registry, TextEncoder};
use shared::{
    clock::Clock,
    event::{Country, RejectionCode, SessionEvent, SessionId, UserId},
    session::{Fact, SessionFacts, SessionKey, SessionStart, Status},
    store::{Effect, EmbeddedStore, Store, Window, embedded::EmbeddedStoreOptions},
    timestamp::{DAY, HOUR, MINUTE, RETENTION, Timestamp},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use self::answers::{Answer, expected};

#[path = "consumer/answers.rs"]
mod answers;
#[path = "consumer/crashes.rs"]
mod crashes;
#[path = "consumer/letters.rs"]
mod letters;
#[path = "consumer/pairing.rs"]
mod pairing;
#[path = "consumer/stalls.rs"]
mod stalls;

/// No test waits this long for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// The time at which every test begins.
fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").unwrap()
}

fn key(user: &str) -> SessionKey {
    SessionKey { user: UserId::new(user).unwrap(), session: SessionId::new("s").unwrap() }
}

/// A start in SK, `minutes` after the beginning of the test.
fn start(user: &str, minutes: i64) -> String {
    start_in(user, minutes, "SK")
}

fn start_in(user: &str, minutes: i64, country: &str) -> String {
    let ts = now() + minutes * MINUTE;
    format!(
        r#"{{"user_id":"{user}","session_id":"s","event":"start","ts":"{ts}","country":"{country}"}}"#
    )
}

fn end(user: &str, minutes: i64) -> String {
    let ts = now() + minutes * MINUTE;
    format!(r#"{{"user_id":"{user}","session_id":"s","event":"end","ts":"{ts}"}}"#)
}

/// A log and a store in one directory.
struct Place {
    log: Log,
    store: Store,
    clock: Clock,
    dir: TempDir,
}

/// The settings of a place and its consumer.
#[derive(Clone, Copy)]
struct Settings {
    decide: Decide,
    options: ConsumerOptions,
    /// The space to keep free on the store's disk, in bytes.
    reserve: u64,
}

/// A running consumer.
struct Running {
    consumer: Consumer,
    registry: Registry,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ConsumerError>>,
}

impl Default for Settings {
    fn default() -> Self {
        let options = ConsumerOptions {
            commit_interval: Duration::from_millis(1),
            ..ConsumerOptions::default()
        };
        Self { decide, options, reserve: 0 }
    }
}

impl Place {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self::open(tempfile::tempdir().unwrap(), settings)
    }

    fn open(dir: TempDir, settings: Settings) -> Self {
        let clock = Clock::starting_at(now());
        let (log, store) = (open_log(dir.path(), clock), open_store(dir.path(), settings.reserve));
        Self { log, store, clock, dir }
    }

    /// Closes the log and the store, and opens them again.
    fn reopen(self, settings: Settings) -> Self {
        let Self { log, store, dir, .. } = self;
        drop((log, store));
        Self::open(dir, settings)
    }

    /// Appends values as a direct producer could write them, each keyed by the first user that it
    /// names.
    async fn append(&self, values: impl IntoIterator<Item = String>) {
        self.append_at(None, values).await;
    }

    async fn append_at(
        &self,
        append_time: Option<Timestamp>,
        values: impl IntoIterator<Item = String>,
    ) {
        let record = |value: String| {
            let user = SessionEvent::parse(value.as_bytes()).map(|event| event.user().to_string());
            NewRecord {
                append_time,
                ..NewRecord::new(user.unwrap_or_default().into(), value.into())
            }
        };
        self.log.append(values.into_iter().map(record).collect()).await.unwrap();
    }

    fn consume(&self) -> Running {
        self.consume_with(Settings::default())
    }

    fn consume_with(&self, settings: Settings) -> Running {
        let registry = Registry::new();
        let metrics = Arc::new(ConsumerMetrics::new(&registry).unwrap());
        let (log, store) = (self.log.clone(), self.store.clone());
        let mut consumer = Consumer::new(log, store, self.clock, metrics, settings.options);
        consumer.decide = settings.decide;
        let (stop, stopped) = oneshot::channel();
        let run = consumer.clone().run(async {
            stopped.await.ok();
        });
        Running { ended: tokio::spawn(run), consumer, registry, stop }
    }

    /// Handles everything in the log; returns the metrics.
    async fn settle(&self) -> Registry {
        let running = self.consume();
        self.until_committed().await;
        running.stop().await
    }

    fn lag(&self) -> i64 {
        self.log.positions().values().map(|position| position.end - position.committed).sum()
    }

    async fn until_committed(&self) {
        until(|| self.lag() == 0).await;
    }

    async fn answer(&self, user: &str) -> Answer {
        Answer::of(&self.store, &key(user)).await
    }
}

impl Running {
    async fn until_it_shows_an_age(&self) {
        until(|| {
            self.consumer.show_lag();
            metric(&self.registry, "bookend_consumer_lag_seconds") > 0.0
        })
        .await;
    }

    /// Stops the consumer and waits for its end.
    async fn stop(self) -> Registry {
        let Self { consumer, registry, stop, ended } = self;
        drop(consumer);
        stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, ended)
            .await
            .expect("the consumer did not stop")
            .unwrap()
            .unwrap();
        registry
    }
}

fn open_log(dir: &Path, clock: Clock) -> Log {
    let options =
        EmbeddedLogOptions { reserve_bytes: 0, partitions: 3, ..EmbeddedLogOptions::default() };
    let log = EmbeddedLog::open(&dir.join("log"), options, clock);
    Log::Embedded(log.unwrap())
}

fn open_store(dir: &Path, reserve_bytes: u64) -> Store {
    let options = EmbeddedStoreOptions { reserve_bytes, ..EmbeddedStoreOptions::default() };
    Store::Embedded(EmbeddedStore::open(&dir.join("store"), options).unwrap())
}

async fn until(holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("timed out waiting for a condition");
}

fn metric(registry: &Registry, series: &str) -> f64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no series {series}")).parse().unwrap()
}

fn handled(registry: &Registry, outcome: &str) -> f64 {
    metric(registry, &format!(r#"bookend_consumer_records_total{{outcome="{outcome}"}}"#))
}

fn dead(registry: &Registry, code: &str) -> f64 {
    metric(registry, &format!(r#"bookend_dead_letters_total{{code="{code}"}}"#))
}

/// A gate at which threads wait until it is opened.
struct Gate(Mutex<(usize, bool)>, Condvar);

impl Gate {
    const fn new() -> Self {
        Self(Mutex::new((0, false)), Condvar::new())
    }

    fn pass(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        while !state.1 {
            state = self.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn open(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.1.notify_all();
    }
}

/// Opens a gate at the end of a test, so that a failing test does not wait for its threads.
struct OpenAtLast(&'static Gate);

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}
