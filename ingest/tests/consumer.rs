//! The consumer between a real log and a real store: what is answered, what is committed, what is counted.
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
    pairing::decide,
};
use prometheus::{Registry, TextEncoder};
use shared::{
    clock::Clock,
    event::{RejectionCode, SessionEvent, SessionId, UserId},
    session::{Fact, SessionFacts, SessionKey, Status},
    store::{Effect, EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    timestamp::{DAY, HOUR, MINUTE, RETENTION, Timestamp},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use self::answers::{Answer, expected};

#[path = "consumer/answers.rs"]
mod answers;
#[path = "consumer/crashes.rs"]
mod crashes;

/// Nothing that a test waits for takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// The instant at which every test begins.
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
    format!(r#"{{"user_id":"{user}","session_id":"s","event":"start","ts":"{ts}","country":"{country}"}}"#)
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

/// How a place is opened, and who consumes there.
#[derive(Clone, Copy)]
struct Settings {
    decide: Decide,
    options: ConsumerOptions,
    /// Room that is to stay free on the store's disk, in bytes.
    reserve: u64,
}

/// A consumer that runs.
struct Running {
    consumer: Consumer,
    registry: Registry,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ConsumerError>>,
}

impl Default for Settings {
    fn default() -> Self {
        let options =
            ConsumerOptions { commit_interval: Duration::from_millis(1), ..ConsumerOptions::default() };
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

    /// Closes both, and opens them again.
    fn reopen(self, settings: Settings) -> Self {
        let Self { log, store, dir, .. } = self;
        drop((log, store));
        Self::open(dir, settings)
    }

    /// Appends what a direct producer may have written, each on the partition of the user that it names first.
    async fn append(&self, values: impl IntoIterator<Item = String>) {
        self.append_at(None, values).await;
    }

    async fn append_at(&self, append_time: Option<Timestamp>, values: impl IntoIterator<Item = String>) {
        let record = |value: String| {
            let user = SessionEvent::parse(value.as_bytes()).map(|event| event.user().to_string());
            NewRecord { append_time, ..NewRecord::new(user.unwrap_or_default().into(), value.into()) }
        };
        self.log.append(values.into_iter().map(record).collect()).await.unwrap();
    }

    fn consume(&self) -> Running {
        self.consume_with(Settings::default())
    }

    fn consume_with(&self, settings: Settings) -> Running {
        let registry = Registry::new();
        let consumer = Consumer {
            log: self.log.clone(),
            store: self.store.clone(),
            clock: self.clock,
            metrics: Arc::new(ConsumerMetrics::new(&registry).unwrap()),
            options: settings.options,
            decide: settings.decide,
        };
        let (stop, stopped) = oneshot::channel();
        let run = consumer.clone().run(async {
            stopped.await.ok();
        });
        Running { ended: tokio::spawn(run), consumer, registry, stop }
    }

    /// Handles everything that is in the log; gives back what was counted.
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

    /// Tells it to stop, and waits for its end.
    async fn stop(self) -> Registry {
        let Self { consumer, registry, stop, ended } = self;
        drop(consumer);
        stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, ended).await.expect("it does not stop").unwrap().unwrap();
        registry
    }
}

fn open_log(dir: &Path, clock: Clock) -> Log {
    let options = EmbeddedLogOptions { reserve_bytes: 0, partitions: 3, ..EmbeddedLogOptions::default() };
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
    waited.await.expect("it never came to hold");
}

fn metric(registry: &Registry, series: &str) -> f64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("there is no series {series}")).parse().unwrap()
}

fn handled(registry: &Registry, outcome: &str) -> f64 {
    metric(registry, &format!(r#"bookend_consumer_records_total{{outcome="{outcome}"}}"#))
}

fn dead(registry: &Registry, code: &str) -> f64 {
    metric(registry, &format!(r#"bookend_dead_letters_total{{code="{code}"}}"#))
}

/// A place where threads wait until they are let go on.
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

/// Opens a gate when a test ends, so that one that fails does not wait for its threads.
struct OpenAtLast(&'static Gate);

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[tokio::test]
async fn a_start_and_an_end_make_a_session() {
    let place = Place::new();
    place.append([start("a", -60), end("a", -30)]).await;
    let counted = place.settle().await;
    assert_eq!(place.answer("a").await, expected(&key("a"), &[start("a", -60), end("a", -30)]));
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn an_end_waits_for_its_start_over_a_restart() {
    let place = Place::new();
    place.append([end("a", -30)]).await;
    place.settle().await;
    assert_eq!(place.answer("a").await.status, Some(Status::Orphan));
    let place = place.reopen(Settings::default());
    place.append([start("a", -60)]).await;
    place.settle().await;
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
}

#[tokio::test]
async fn every_order_gives_the_same_answer() {
    let events = [
        start("a", -60),
        start_in("a", -50, "AT"),
        end("a", -70),
        end("a", -40),
        end("a", -30),
        end("a", -40),
    ];
    for turn in 0..events.len() {
        let mut turned = events.clone();
        turned.rotate_left(turn);
        let place = Place::new();
        for event in turned {
            place.append([event]).await;
        }
        place.settle().await;
        assert_eq!(place.answer("a").await, expected(&key("a"), &events), "{turn}");
    }
}

#[tokio::test]
async fn what_is_handled_is_counted_once_each() {
    let place = Place::new();
    let garbage = "garbage".to_owned();
    let old = end("e", -(RETENTION + DAY) / MINUTE);
    place.append([start("a", -60), end("b", -60), start("c", -60), garbage, old]).await;
    place.append([end("a", -30), start("a", -60), start("a", -50), end("b", -50)]).await;
    let counted = place.settle().await;
    let sent = 9.0;
    let outcomes = ["paired", "open", "orphan", "duplicate", "expired", "dead_lettered", "superseded"]
        .map(|outcome| handled(&counted, outcome));
    assert_eq!(outcomes.iter().sum::<f64>(), sent, "{outcomes:?}");
    // The two ends of `b` are told apart only by which came first.
    assert_eq!(outcomes[2..], [1.0, 1.0, 1.0, 1.0, 2.0]);
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn what_is_known_already_is_counted_as_a_repetition_after_a_restart_too() {
    let place = Place::new();
    place.append([start("a", -60)]).await;
    place.settle().await;
    let place = place.reopen(Settings::default());
    place.append([start("a", -60)]).await;
    let counted = place.settle().await;
    assert_eq!((handled(&counted, "duplicate"), handled(&counted, "open")), (1.0, 0.0));
}

#[tokio::test]
async fn a_session_that_is_completed_again_is_counted_once() {
    let place = Place::new();
    for event in [start("a", -60), end("a", -30), end("a", -40), start("a", -90), end("a", -30)] {
        place.append([event]).await;
    }
    let counted = place.settle().await;
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn what_is_no_event_goes_to_the_dead_letters_with_its_code() {
    let place = Place::new();
    let records = [
        ("", "not_an_object"),
        ("\u{0}", "not_an_object"),
        ("[{}]", "not_an_object"),
        ("{}", "missing_user_id"),
        (r#"{"user_id":"u","user_id":"u"}"#, "duplicate_key"),
        (r#"{"user_id":"u","session_id":"s","event":"pause","ts":1}"#, "invalid_event"),
    ];
    place.append(records.map(|(record, _)| record.to_owned())).await;
    place.append([end("f", 60), start("a", -60)]).await;
    let counted = place.settle().await;
    for (code, count) in [
        ("not_an_object", 3.0),
        ("missing_user_id", 1.0),
        ("duplicate_key", 1.0),
        ("invalid_event", 1.0),
        ("future", 1.0),
    ] {
        assert_eq!(dead(&counted, code), count, "{code}");
    }
    assert_eq!(handled(&counted, "dead_lettered"), 7.0);
    assert_eq!(place.log.dead_letters(), 7);
    assert_eq!(place.answer("a").await.status, Some(Status::Open));
}

#[tokio::test]
async fn what_comes_after_the_last_fact_that_a_session_may_have_is_contested() {
    let place = Place::new();
    place.append((0..70).map(|minute| start("a", -200 + minute))).await;
    place.append([start("a", -200), start("b", -60)]).await;
    let counted = place.settle().await;
    assert_eq!((dead(&counted, "contested"), place.log.dead_letters()), (6.0, 6));
    assert_eq!(handled(&counted, "duplicate"), 1.0);
    let facts = place.store.facts(&key("a")).await.unwrap();
    assert_eq!(facts.starts().len(), 64);
    assert_eq!(place.answer("b").await.status, Some(Status::Open));
}

#[tokio::test]
async fn an_event_is_judged_by_when_it_was_appended_and_not_by_when_it_is_read() {
    let place = Place::new();
    let (year, day) = (RETENTION / MINUTE, DAY / MINUTE);
    // Fresh when they were appended a year and a day ago; today they would be too old.
    let then = now() - RETENTION - DAY;
    place.append_at(Some(then), [start("a", -year - day - 1), end("a", -year - day)]).await;
    // Too far ahead of then, though it is long past today.
    place.append_at(Some(then), [end("f", -60)]).await;
    // Too old today as it was then.
    place.append([end("e", -year - 1)]).await;
    let counted = place.settle().await;
    assert_eq!(handled(&counted, "expired"), 1.0);
    assert_eq!(dead(&counted, "future"), 1.0);
    assert_eq!(handled(&counted, "paired"), 2.0);
    assert_eq!(place.store.facts(&key("a")).await.unwrap().ends().len(), 1);
    let horizon = now() - RETENTION;
    assert!(place.store.completed(&key("a").user, horizon, None, 10).await.unwrap().is_empty());
    assert!(place.store.countries(Timestamp::MIN).await.unwrap().is_empty());
}

fn panics_for_mallory(key: &SessionKey, facts: &SessionFacts, handled: &[Fact]) -> Vec<Effect> {
    assert!(key.user.as_str() != "mallory", "this is the defect");
    decide(key, facts, handled)
}

#[tokio::test]
async fn a_record_that_panics_is_put_aside_alone_and_answered_once_the_defect_is_mended() {
    let place = Place::new();
    place
        .append([start("a", -60), start("mallory", -60), end("a", -30), end("mallory", -30), start("b", -60)])
        .await;
    let running = place.consume_with(Settings { decide: panics_for_mallory, ..Settings::default() });
    place.until_committed().await;
    let counted = running.stop().await;
    assert_eq!((dead(&counted, "panicked"), place.log.dead_letters()), (2.0, 2));
    assert_eq!(handled(&counted, "dead_lettered"), 2.0);
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(place.answer("b").await.status, Some(Status::Open));
    assert!(place.answer("mallory").await.completed.is_empty());

    let place = place.reopen(Settings::default());
    let redriven = place.log.redrive(|code| code == DeadLetterCode::Panicked, |_| {}).await.unwrap();
    assert_eq!(redriven.appended, 2);
    place.settle().await;
    assert_eq!(
        place.answer("mallory").await,
        expected(&key("mallory"), &[start("mallory", -60), end("mallory", -30)])
    );
    assert_eq!(place.log.dead_letters(), 0);
}

#[tokio::test]
async fn what_is_redriven_is_judged_by_when_it_was_first_appended() {
    let place = Place::new();
    let then = now() - RETENTION + HOUR;
    let event = end("mallory", -(RETENTION + HOUR) / MINUTE);
    place.append_at(Some(then), [event]).await;
    let running = place.consume_with(Settings { decide: panics_for_mallory, ..Settings::default() });
    place.until_committed().await;
    running.stop().await;
    place.log.redrive(|_| true, |_| {}).await.unwrap();
    let counted = place.settle().await;
    assert_eq!(handled(&counted, "expired"), 0.0);
    assert_eq!(place.store.facts(&key("mallory")).await.unwrap().ends().len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_write_stalls_the_consumer_and_costs_no_record() {
    let full = Settings {
        reserve: u64::MAX,
        options: ConsumerOptions { stop_timeout: Duration::from_millis(10), ..Settings::default().options },
        ..Settings::default()
    };
    let place = Place::with(full);
    place.append([start("a", -60), end("a", -30)]).await;
    let running = place.consume_with(full);
    let retries = r#"bookend_store_retries_total{cause="store"}"#;
    until(|| metric(&running.registry, retries) >= 2.0).await;
    assert_eq!(metric(&running.registry, "bookend_consumer_inflight_records"), 2.0);
    running.until_it_shows_an_age().await;
    let counted = running.stop().await;
    assert_eq!(handled(&counted, "dead_lettered"), 0.0);
    assert_eq!((place.lag(), place.log.dead_letters()), (2, 0));

    let place = place.reopen(Settings::default());
    place.settle().await;
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(place.log.dead_letters(), 0);
}

#[tokio::test]
async fn a_consumer_that_is_gone_lets_go_of_the_log_and_the_store() {
    let full = Settings { reserve: u64::MAX, ..Settings::default() };
    let place = Place::with(full);
    place.append([start("a", -60)]).await;
    let running = place.consume_with(full);
    until(|| metric(&running.registry, r#"bookend_store_retries_total{cause="store"}"#) >= 1.0).await;
    running.ended.abort();
    drop(running.consumer);
    let Place { log, store, dir, .. } = place;
    drop((log, store));
    // Whatever handled records for it would hold the lock of the log.
    let options = EmbeddedLogOptions::default();
    until(|| EmbeddedLog::open(&dir.path().join("log"), options, Clock::machine()).is_ok()).await;
}

static SLOW: Gate = Gate::new();

fn waits_for_slow(key: &SessionKey, facts: &SessionFacts, handled: &[Fact]) -> Vec<Effect> {
    if key.user.as_str() == "slow" {
        SLOW.pass();
    }
    decide(key, facts, handled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_comes_behind_a_slow_micro_batch_is_answered_and_not_committed_before_it() {
    let options = ConsumerOptions { batch_bytes: 1, batches: 3, ..Settings::default().options };
    let _at_last = OpenAtLast(&SLOW);
    let place = Place::new();
    // Each append is a block, and each block a micro-batch.
    for event in [start("slow", -60), start("b", -60), start("c", -60), start("d", -60)] {
        place.append([event]).await;
    }
    let running = place.consume_with(Settings { decide: waits_for_slow, options, ..Settings::default() });
    let answered = |outcome| handled(&running.registry, outcome);
    until(|| answered("open") == 2.0).await;
    assert_eq!(SLOW.waiting(), 1);
    let positions = place.log.positions();
    assert!(positions.values().all(|position| position.committed == 0), "{positions:?}");
    // No more are polled than may be under way.
    assert_eq!(metric(&running.registry, "bookend_consumer_inflight_records"), 3.0);
    running.until_it_shows_an_age().await;
    let slow = murmur2::partition(b"slow", 3);
    let lag = format!(r#"bookend_consumer_lag_records{{partition="{slow}"}}"#);
    assert!(metric(&running.registry, &lag) >= 1.0);

    SLOW.open();
    place.until_committed().await;
    let counted = running.stop().await;
    assert_eq!(handled(&counted, "open"), 4.0);
    assert_eq!(metric(&counted, &lag), 0.0);
    assert_eq!(metric(&counted, "bookend_consumer_lag_seconds"), 0.0);
    assert_eq!(metric(&counted, "bookend_consumer_inflight_records"), 0.0);
}

#[tokio::test]
async fn without_lag_everything_is_answered() {
    let place = Place::new();
    let running = place.consume();
    for round in 0..10 {
        let users: Vec<_> = (0..20).map(|user| format!("u{round}x{user}")).collect();
        place.append(users.iter().map(|user| start(user, -60))).await;
        place.until_committed().await;
        for user in users {
            assert_eq!(place.answer(&user).await.status, Some(Status::Open), "{user}");
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn a_consumer_that_is_told_to_stop_commits_what_it_polled() {
    let options = ConsumerOptions { commit_interval: LIMIT * 10, ..ConsumerOptions::default() };
    let place = Place::new();
    place.append([start("a", -60), end("a", -30)]).await;
    let running = place.consume_with(Settings { options, ..Settings::default() });
    until(|| handled(&running.registry, "paired") == 2.0).await;
    assert_eq!(place.lag(), 2);
    running.stop().await;
    assert_eq!(place.lag(), 0);
}

#[tokio::test]
async fn an_unknown_code_of_a_dead_letter_redrives_nothing() {
    let place = Place::new();
    place.append(["garbage".to_owned()]).await;
    place.settle().await;
    let wanted = DeadLetterCode::Rejected(RejectionCode::Future);
    let redriven = place.log.redrive(|code| code == wanted, |_| {}).await.unwrap();
    assert_eq!((redriven.appended, place.log.dead_letters()), (0, 1));
}
