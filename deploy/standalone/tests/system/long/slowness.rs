//! Delays every answer of Cassandra for about a minute while a backlog is consumed, and compares
//! the rate afterwards with that of the same service through the same proxy without a delay.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    delays::{Delayed, MORE_MEMORY, TOO_LATE},
    service::{Metrics, eventually, pause},
};

/// A delay below the deadline of a request.
const LATE: Duration = Duration::from_secs(8);
const SLOW: Duration = Duration::from_secs(60);
/// So long that the limit of requests in flight falls from the highest to the lowest value.
const HALVING: Duration = Duration::from_secs(75);
/// The span over which a rate is measured.
const SPAN: Duration = Duration::from_secs(20);
/// The time after which the rate must be the old one.
const RECOVERY: Duration = Duration::from_secs(10);
/// The same when requests were given up: the last late answers, one more deadline and a pause.
const LONG_RECOVERY: Duration = Duration::from_secs(30);
const ROUNDS: usize = 3;
/// Each has a start and an end.
const SESSIONS: u32 = 600_000;

/// The number of handled records at each time at which it changed. It grows by whole micro-batches,
/// of which a span has only a few, so the difference of two samples says little about a rate.
struct Handled(Arc<Mutex<Vec<(Instant, f64)>>>);

impl Handled {
    fn watch(client: Client) -> Self {
        let changes = Arc::new(Mutex::new(vec![(Instant::now(), 0.0)]));
        let seen = Arc::clone(&changes);
        std::thread::spawn(move || {
            while let Ok(reply) = client.get("/metrics") {
                let handled = Metrics(reply.text()).sum("bookend_consumer_records_total");
                let mut seen = seen.lock().unwrap();
                if seen.last().is_some_and(|(_, before)| *before < handled) {
                    seen.push((Instant::now(), handled));
                }
                drop(seen);
                pause(Duration::from_millis(50));
            }
        });
        Self(changes)
    }

    /// The number of handled records at `time`: between two changes, in proportion to the time.
    /// Waits for the change after it.
    fn at(&self, time: Instant) -> f64 {
        eventually("more records are handled", || {
            let changes = self.0.lock().unwrap();
            let next = changes.iter().position(|(at, _)| *at > time)?;
            let [(before, fewer), (after, more)] = [changes[next - 1], changes[next]];
            let part = (time - before).as_secs_f64() / (after - before).as_secs_f64();
            Some(fewer + part * (more - fewer))
        })
    }

    /// The rate for a while from now on.
    fn rate(&self) -> Rate {
        let begun = Instant::now();
        pause(SPAN);
        let (first, last) = (self.at(begun), self.at(begun + SPAN));
        Rate {
            per_second: (last - first) / SPAN.as_secs_f64(),
            handled: f64::midpoint(first, last),
        }
    }
}

/// A rate over a span.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    /// The number of records that were handled in the middle of the span.
    handled: f64,
}

/// A service that consumes a backlog of `sessions` sessions.
fn with_backlog(sessions: u32) -> (Delayed, Handled) {
    let delayed = Delayed::start(&[]);
    delayed.post(sessions);
    let handled = Handled::watch(delayed.service.client());
    delayed.set_up();
    pause(RECOVERY);
    (delayed, handled)
}

/// Delays the answers for `span`, during which `path` must be 200.
fn slow(delayed: &Delayed, delay: Duration, span: Duration, path: &str) {
    let begun = Instant::now();
    delayed.delay(delay);
    while begun.elapsed() < span {
        let reply = delayed.service.client().get(path).unwrap();
        assert_eq!(reply.status, 200, "after {:?}: {}", begun.elapsed(), reply.text());
        pause(Duration::from_millis(500));
    }
    delayed.delay(Duration::ZERO);
}

/// The rate `after` a slow span, in parts of what the rates before and later promise for as many
/// records: the rate falls as the tables grow.
fn ratio(before: Rate, after: Rate, later: Rate) -> f64 {
    let part = (after.handled - before.handled) / (later.handled - before.handled);
    let promised = before.per_second + part * (later.per_second - before.per_second);
    let ratio = after.per_second / promised;
    let [before, after, later] = [before, after, later].map(|rate| rate.per_second);
    println!("records/s before {before:.0}, after {after:.0}, later {later:.0}: {ratio:.2}");
    ratio
}

fn assert_backlog(delayed: &Delayed) {
    let lag = delayed.service.metrics().sum("bookend_consumer_lag_records");
    println!("{lag} records are left");
    assert!(lag > 0.0, "the backlog was too short to measure");
}

#[test]
fn slow_answers_break_nothing_and_the_rate_is_soon_the_old_one() {
    let (delayed, handled) = with_backlog(SESSIONS);
    let connections = delayed.connections();
    let (mut before, mut ratios) = (handled.rate(), Vec::new());
    for _ in 0..ROUNDS {
        slow(&delayed, LATE, SLOW, "/readyz");
        pause(RECOVERY);
        let (after, later) = (handled.rate(), handled.rate());
        ratios.push(ratio(before, after, later));
        before = later;
    }
    assert_backlog(&delayed);
    assert_eq!(delayed.connections(), connections, "a connection broke");
    assert_eq!(delayed.limits(), [0; 0], "a request was given up");
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[ROUNDS / 2] >= 0.9, "{ratios:?}");
}

#[test]
fn answers_after_the_deadline_break_no_connection_and_the_rate_recovers() {
    let (delayed, handled) = with_backlog(SESSIONS / 2);
    let (connections, before) = (delayed.connections(), handled.rate());
    let memory = delayed.service.peak_memory();
    slow(&delayed, TOO_LATE, HALVING, "/livez");
    pause(LONG_RECOVERY);
    assert_eq!(delayed.service.client().get("/readyz").unwrap().status, 200);
    let (after, later) = (handled.rate(), handled.rate());
    assert_backlog(&delayed);
    let (limits, peak) = (delayed.limits(), delayed.service.peak_memory());
    println!("limits {limits:?}; memory {} MiB, before {} MiB", peak >> 20, memory >> 20);
    assert_eq!(delayed.connections(), connections, "a connection broke");
    assert!(limits.starts_with(&[256, 128, 64, 32, 16]), "{limits:?}");
    assert!(peak < memory + MORE_MEMORY);
    assert!(ratio(before, after, later) >= 0.9);
}
