//! `bookend verify` finds rows without events and events without rows.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use bytes::Bytes;
use ingest::{
    consumer::{Consumer, ConsumerOptions},
    log::{EmbeddedLog, Log, NewRecord, Position, embedded::EmbeddedLogOptions},
    metrics::ConsumerMetrics,
};
use shared::{
    clock::Clock,
    event::{Country, SessionEvent, SessionId, UserId},
    session::{CompletedSession, SessionStart},
    store::{Effect, EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    timestamp::{DAY, HOUR, MINUTE, Timestamp},
};
use standalone::verify::{Steps, Verdict, verify};
use tempfile::TempDir;

#[path = "verify/topics.rs"]
mod topics;

struct World {
    log: Log,
    store: Store,
    clock: Clock,
    dir: TempDir,
}

/// Segments of one block each, of which none is removed.
fn options() -> EmbeddedLogOptions {
    EmbeddedLogOptions {
        segment_bytes: 1,
        retention_ms: 1_000 * DAY,
        ..EmbeddedLogOptions::default()
    }
}

fn noon() -> Timestamp {
    Timestamp::parse("2026-06-01T12:00:00Z").unwrap()
}

fn start(session: &str, ts: Timestamp, country: &str) -> SessionEvent {
    let (user, session) = (UserId::new("u").unwrap(), SessionId::new(session).unwrap());
    SessionEvent::Start { user, session, ts, country: Country::normalise(country) }
}

fn end(session: &str, ts: Timestamp) -> SessionEvent {
    SessionEvent::End {
        user: UserId::new("u").unwrap(),
        session: SessionId::new(session).unwrap(),
        ts,
    }
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Clock::starting_at(noon());
        let log = EmbeddedLog::open(&dir.path().join("log"), options(), clock).unwrap();
        let store = EmbeddedStore::open(&dir.path().join("store"), EmbeddedStoreOptions::default())
            .unwrap();
        Self { log: Log::Embedded(log), store: Store::Embedded(store), clock, dir }
    }

    /// A session of every status, a repetition and a conflict, all of them processed.
    async fn answered() -> Self {
        let world = Self::new();
        let then = noon() - DAY;
        world
            .append(&[
                start("complete", then, "SK"),
                end("complete", then + HOUR),
                end("complete", then + HOUR),
                end("complete", then + 2 * HOUR),
                start("open", then, "DE"),
                end("orphan", then),
            ])
            .await;
        world.append_text(b"no event").await;
        world.consume().await;
        world
    }

    async fn append(&self, events: &[SessionEvent]) {
        for event in events {
            let mut value = Vec::new();
            event.write_json(&mut value);
            self.append_text(&value).await;
        }
    }

    async fn append_text(&self, value: &[u8]) {
        let (key, value) = (Bytes::from_static(b"u"), Bytes::copy_from_slice(value));
        self.log.append(vec![NewRecord::new(key, value)]).await.unwrap();
    }

    /// Runs the consumer until nothing is left to process.
    async fn consume(&self) {
        let metrics = Arc::new(ConsumerMetrics::new(&prometheus::Registry::new()).unwrap());
        let (log, store, options) =
            (self.log.clone(), self.store.clone(), ConsumerOptions::default());
        let consumer = Consumer::new(log, store, self.clock, metrics, options);
        let log = self.log.clone();
        let done = async move {
            let is_behind = |at: &Position| at.committed < at.end;
            // There are no positions before the brokers know a topic that was just created.
            while log.positions().is_empty() || log.positions().values().any(is_behind) {
                tokio::task::yield_now().await;
            }
        };
        consumer.run(done).await.unwrap();
    }

    async fn verify(&self) -> Verdict {
        let steps = Steps::default();
        let verdict = verify(&self.log, &self.store, noon(), 5 * MINUTE, &steps).await.unwrap();
        let (taken, of) = steps.position();
        assert!(taken == of && of > 0, "in the end all is shown as done: {taken} of {of}");
        verdict
    }

    async fn apply(&self, effect: Effect) {
        self.store.apply(vec![effect], noon()).await.unwrap();
    }

    async fn only_difference(&self) -> String {
        let Verdict { differences, .. } = self.verify().await;
        assert_eq!(differences.count, 1, "{differences}");
        differences.first[0].clone()
    }
}

fn completed(session: &str) -> CompletedSession {
    CompletedSession {
        user: UserId::new("u").unwrap(),
        session: SessionId::new(session).unwrap(),
        country: Country::normalise("SK"),
        started_at: noon() - DAY,
        ended_at: noon() - DAY + HOUR,
    }
}

fn started(session: &str, country: &str) -> SessionStart {
    SessionStart {
        user: UserId::new("u").unwrap(),
        session: SessionId::new(session).unwrap(),
        country: Country::normalise(country),
        ts: noon() - DAY,
    }
}

#[tokio::test]
async fn the_ledger_has_every_record_in_one_class() {
    let verdict = World::answered().await.verify().await;
    assert_eq!(verdict.differences.count, 0, "{}", verdict.differences);
    let ledger = verdict.ledger;
    assert!(ledger.adds_up());
    assert_eq!((ledger.records, ledger.paired, ledger.open, ledger.orphan), (7, 2, 1, 1));
    assert_eq!(
        (ledger.superseded, ledger.duplicate, ledger.dead_lettered, ledger.expired),
        (1, 1, 1, 0)
    );
    assert_eq!((verdict.sessions, verdict.unanswered), (3, 0));
}

#[tokio::test]
async fn a_start_that_no_event_made_is_told() {
    let world = World::answered().await;
    world.apply(Effect::RecordStart(started("phantom", "SK"))).await;
    assert!(world.only_difference().await.contains("\"phantom\""));
}

#[tokio::test]
async fn a_start_in_another_country_is_told() {
    let world = World::answered().await;
    world.apply(Effect::RecordStart(started("open", "SK"))).await;
    assert!(world.only_difference().await.contains("the store lists a start"));
}

#[tokio::test]
async fn a_start_that_is_missing_is_told() {
    let world = World::answered().await;
    world.apply(Effect::SupersedeStart(started("open", "DE"))).await;
    assert!(world.only_difference().await.contains("no country lists it"));
}

#[tokio::test]
async fn a_session_that_no_events_completed_is_told() {
    let world = World::answered().await;
    world.apply(Effect::Complete(completed("open"))).await;
    assert!(world.only_difference().await.contains("\"open\""));
}

#[tokio::test]
async fn completed_sessions_without_facts_are_told_whether_or_not_their_user_has_any() {
    let world = World::answered().await;
    for session in ["one", "two"] {
        for user in ["u", "nobody"] {
            let user = UserId::new(user).unwrap();
            world.apply(Effect::Complete(CompletedSession { user, ..completed(session) })).await;
        }
    }
    let Verdict { differences, .. } = world.verify().await;
    assert_eq!(differences.count, 4, "{differences}");
}

/// Retention removes the oldest records, here the start of `complete`.
async fn with_a_cut_log() -> World {
    let World { log, store, clock, dir } = World::answered().await;
    drop(log);
    // The first segment was full before its first block.
    for segment in ["0000000000000000", "0000000000000001"] {
        std::fs::remove_file(dir.path().join(format!("log/records/{segment}.log"))).unwrap();
    }
    let log = EmbeddedLog::open(&dir.path().join("log"), options(), clock).unwrap();
    let world = World { log: Log::Embedded(log), store, clock, dir };
    let verdict = world.verify().await;
    assert!(verdict.log_is_cut);
    // The session that began before the cut is not a difference.
    assert_eq!(verdict.differences.count, 0, "{}", verdict.differences);
    world
}

#[tokio::test]
async fn rows_without_facts_are_told_although_the_log_is_cut() {
    let world = with_a_cut_log().await;
    let nobody = UserId::new("nobody").unwrap();
    let row = CompletedSession { user: nobody.clone(), ..completed("one") };
    world.apply(Effect::Complete(row)).await;
    assert!(world.only_difference().await.contains("\"one\""));
    let world = with_a_cut_log().await;
    world.apply(Effect::RecordStart(SessionStart { user: nobody, ..started("one", "SK") })).await;
    assert!(world.only_difference().await.contains("\"one\""));
}

#[tokio::test]
async fn a_row_that_the_facts_in_the_store_do_not_explain_is_told_although_the_log_is_cut() {
    let world = with_a_cut_log().await;
    world.apply(Effect::RecordStart(started("open", "SK"))).await;
    assert!(world.only_difference().await.contains("\"open\""));
}

#[tokio::test]
async fn a_complete_session_that_is_missing_is_told() {
    let world = World::answered().await;
    world.apply(Effect::SupersedeCompleted(completed("complete"))).await;
    assert!(world.only_difference().await.contains("not listed"));
}

#[tokio::test]
async fn records_that_are_not_answered_yet_are_counted() {
    let world = World::answered().await;
    world.append(&[start("later", noon() - HOUR, "SK")]).await;
    let verdict = world.verify().await;
    assert_eq!(verdict.unanswered, 1);
    assert!(verdict.differences.count > 0);
}
