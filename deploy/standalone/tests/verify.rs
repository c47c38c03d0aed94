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
    session::{CompletedSession, Fact, SessionKey, SessionStart, Start},
    store::{Effect, EmbeddedStore, Sighting, Store, embedded::EmbeddedStoreOptions},
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

fn user() -> UserId {
    UserId::new("u").unwrap()
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
        // A sentence for people, not the debug form of a type.
        let text = differences.first[0].text.clone();
        assert!(!text.contains(['{', '[', '(']), "{text}");
        text
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
    assert!(world.only_difference().await.contains("list in the store lacks it"));
}

#[tokio::test]
async fn a_backlog_is_counted_and_is_no_difference() {
    let world = World::answered().await;
    // A new session, the end of one that is open, and records that become dead letters or nothing.
    world
        .append(&[
            start("later", noon() - HOUR, "SK"),
            start("elsewhere", noon() - HOUR, "QQ"),
            end("open", noon() - HOUR),
            start("complete", noon() - 2 * DAY, "AT"),
            end("orphan", noon() - DAY),
        ])
        .await;
    world.append_text(b"no event").await;
    let verdict = world.verify().await;
    assert_eq!(verdict.unanswered, 6);
    assert_eq!(verdict.differences.count, 0, "{}", verdict.differences);
    let text = verdict.to_string();
    assert!(text.contains("6 events not answered yet"), "{text}");
    assert!(text.contains("no difference between the log and the store"), "{text}");
    assert!(verdict.ledger.adds_up());
}

#[tokio::test]
async fn a_backlog_that_is_answered_in_part_is_no_difference() {
    let world = World::new();
    world.append(&[start("complete", noon() - DAY, "SK"), end("complete", noon() - HOUR)]).await;
    world.consume().await;
    // The consumer was killed after it had written the facts, before the rows and the commit.
    world.append(&[end("complete", noon() - 2 * HOUR), start("new", noon() - HOUR, "DE")]).await;
    let facts = [
        (
            SessionKey { user: user(), session: SessionId::new("complete").unwrap() },
            noon() - 2 * HOUR,
        ),
        (SessionKey { user: user(), session: SessionId::new("new").unwrap() }, noon() - HOUR),
    ];
    let [(complete, ended_at), (new, ts)] = facts;
    let country = Country::normalise("DE");
    let sightings = vec![
        Sighting { key: complete, facts: vec![Fact::End(ended_at)] },
        Sighting { key: new, facts: vec![Fact::Start(Start { ts, country })] },
    ];
    world.store.absorb(sightings, noon()).await.unwrap();
    let verdict = world.verify().await;
    assert_eq!((verdict.unanswered, verdict.differences.count), (2, 0), "{}", verdict.differences);
}

#[tokio::test]
async fn what_was_answered_is_compared_although_more_waits() {
    let world = World::answered().await;
    let foreign = SessionKey { user: user(), session: SessionId::new("open").unwrap() };
    let sighting = Sighting { key: foreign, facts: vec![Fact::End(noon() - 3 * HOUR)] };
    world.store.absorb(vec![sighting], noon()).await.unwrap();
    world.append(&[end("open", noon() - HOUR)]).await;
    let text = world.only_difference().await;
    assert!(text.starts_with("session \"open\" of user \"u\": the log has a start at "), "{text}");
    assert!(text.contains("; the store has a start at "), "{text}");
}

#[tokio::test]
async fn differences_are_lines_for_people_and_objects_for_programs() {
    let world = World::answered().await;
    world.apply(Effect::RecordStart(started("phantom", "SK"))).await;
    world.apply(Effect::Complete(completed("open"))).await;
    let verdict = world.verify().await;
    let text = verdict.differences.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "difference: session \"phantom\" of user \"u\": the store lists a start at \
             2026-05-31T12:00:00Z in SK; the store has no events of it",
            "difference: session \"open\" of user \"u\": the store lists it as complete from \
             2026-05-31T12:00:00Z to 2026-05-31T13:00:00Z in SK; the log has a start at \
             2026-05-31T12:00:00Z in DE",
            "2 differences",
        ]
    );
    let json = serde_json::to_value(&verdict.differences).unwrap();
    assert_eq!(json["count"], 2);
    let first = json["first"].as_array().unwrap();
    let kinds: Vec<_> = first.iter().map(|each| each["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start_not_in_log", "completed_not_in_log"]);
    assert_eq!((&first[0]["user_id"], &first[0]["session_id"]), (&"u".into(), &"phantom".into()));
}
