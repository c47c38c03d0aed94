//! A consumer that waits, is slow, is stopped, or is dropped.

use super::*;

#[tokio::test]
async fn a_store_that_cannot_write_stalls_the_consumer_and_costs_no_record() {
    let full = Settings {
        reserve: u64::MAX,
        options: ConsumerOptions {
            stop_timeout: Duration::from_millis(10),
            ..Settings::default().options
        },
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
async fn an_outage_of_the_store_is_one_line_however_often_requests_are_repeated() {
    let (lines, _guard) = test_support::lines::Lines::collect();
    let full = Settings { reserve: u64::MAX, ..Settings::default() };
    let place = Place::with(full);
    place.append([start("a", -60)]).await;
    let running = place.consume_with(full);
    let retries = r#"bookend_store_retries_total{cause="store"}"#;
    until(|| metric(&running.registry, retries) >= 3.0).await;
    let retried = lines.with("a request to the store failed");
    assert_eq!(retried.len(), 1, "{retried:?}");
    running.ended.abort();
}

fn panics(key: &SessionKey, _: &SessionFacts, _: &[Fact], _: Arrival) -> Vec<Effect> {
    panic!("no decision about {}", key.user)
}

#[tokio::test]
async fn records_that_panic_are_counted_and_not_each_a_line() {
    let (lines, _guard) = test_support::lines::Lines::collect();
    let place = Place::new();
    place.append((0..20).map(|user| start(&format!("u{user}"), -60))).await;
    let running = place.consume_with(Settings { decide: panics, ..Settings::default() });
    place.until_committed().await;
    let counted = running.stop().await;
    assert_eq!(dead(&counted, "panicked"), 20.0);
    assert_eq!(lines.with("handling a record panicked").len(), 1);
}

#[tokio::test]
async fn a_consumer_that_is_gone_lets_go_of_the_log_and_the_store() {
    let full = Settings { reserve: u64::MAX, ..Settings::default() };
    let place = Place::with(full);
    place.append([start("a", -60)]).await;
    let running = place.consume_with(full);
    until(|| metric(&running.registry, r#"bookend_store_retries_total{cause="store"}"#) >= 1.0)
        .await;
    running.ended.abort();
    drop(running.consumer);
    let Place { log, store, dir, .. } = place;
    drop((log, store));
    // A task that still handled records for it would hold the lock of the log.
    let options = EmbeddedLogOptions::default();
    until(|| EmbeddedLog::open(&dir.path().join("log"), options, Clock::machine()).is_ok()).await;
}

static SLOW: Gate = Gate::new();

fn waits_for_slow(
    key: &SessionKey,
    facts: &SessionFacts,
    handled: &[Fact],
    arrival: Arrival,
) -> Vec<Effect> {
    if key.user.as_str() == "slow" {
        SLOW.pass();
    }
    decide(key, facts, handled, arrival)
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
    let running =
        place.consume_with(Settings { decide: waits_for_slow, options, ..Settings::default() });
    let answered = |outcome| handled(&running.registry, outcome);
    until(|| answered("open") == 2.0).await;
    assert_eq!(SLOW.waiting(), 1);
    let positions = place.log.positions();
    assert!(positions.values().all(|position| position.committed == 0), "{positions:?}");
    // No more are polled than may be in flight.
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

static HELD: Gate = Gate::new();

/// As many rows for one session as for a large micro-batch of ordinary ones, until the last user.
fn floods(key: &SessionKey, _: &SessionFacts, _: &[Fact], _: Arrival) -> Vec<Effect> {
    if key.user.as_str() == "held" {
        HELD.pass();
        return Vec::new();
    }
    let row = |n| {
        let session = SessionId::new(&format!("s{n}")).unwrap();
        let (user, country) = (key.user.clone(), Country::normalise("SK"));
        Effect::RecordStart(SessionStart { user, session, country, ts: now() })
    };
    (0..60_000).map(row).collect()
}

/// Rows that are decided and not written yet take memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_rows_are_written_before_all_are_decided() {
    let _at_last = OpenAtLast(&HELD);
    let place = Place::new();
    place.append(["a", "b", "c", "held"].map(|user| start(user, -60))).await;
    let running = place.consume_with(Settings { decide: floods, ..Settings::default() });
    until(|| HELD.waiting() == 1).await;
    let written = async || {
        let window = Window { from: now(), to: now() + 1 };
        let countries = vec![Country::normalise("SK")];
        let counts = place.store.count_starts(countries, window, DAY).await.unwrap();
        counts[0].values().sum::<u64>()
    };
    assert_eq!(written().await, 120_000);
    assert!(place.log.positions().values().all(|position| position.committed == 0));
    HELD.open();
    place.until_committed().await;
    running.stop().await;
    assert_eq!(written().await, 180_000);
}
