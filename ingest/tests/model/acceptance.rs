//! Checks that an event which was answered with 200 is never refused as `future`, and that no other
//! program brings in an event of the far future. Every combination of a few clocks, tolerances and
//! event times is tried, with the real rules for the header and for the consumer.
//!
//! Each control leaves out one part of the protocol, and must fail.

use ingest::log::{LATEST_TS_LIMIT, Record};
use shared::{
    event::{SessionEvent, SessionId, UserId},
    timestamp::{HOUR, MINUTE, Timestamp},
};

/// By how much a clock is ahead of the true time.
const CLOCKS: [i64; 7] = [-3 * HOUR, -HOUR, -MINUTE, 0, MINUTE, HOUR, 3 * HOUR];
const TOLERANCES: [i64; 4] = [0, 5 * MINUTE, 40 * MINUTE, 2 * HOUR];
/// The time between the append and the moment at which a consumer reads the record.
const DELAYS: [i64; 2] = [0, 30 * HOUR];

/// The parts of the protocol.
#[derive(Clone, Copy)]
struct Protocol {
    /// The endpoint writes the latest time that it accepts into its records.
    header: bool,
    /// The endpoint answers 200 only if the append time shows that its header counts in full.
    checks_append_time: bool,
    /// Consumers let the header count for an hour only.
    limit: bool,
}

const WHOLE: Protocol = Protocol { header: true, checks_append_time: true, limit: true };

/// One event on its way, and the hosts that it meets.
#[derive(Clone, Copy, Debug)]
struct Case {
    endpoint: i64,
    broker: i64,
    consumer: i64,
    endpoint_tolerance: i64,
    consumer_tolerance: i64,
    delay: i64,
    /// Whether the brokers record the append time.
    stamped: bool,
    /// The time of the event, counted from the true time of the append.
    ts: i64,
}

fn noon() -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000).unwrap()
}

/// Each of `all` with each of `more`.
fn each<A: Copy, B: Copy>(all: &[A], more: &[B]) -> Vec<(A, B)> {
    all.iter().flat_map(|a| more.iter().map(|b| (*a, *b))).collect()
}

fn cases() -> Vec<Case> {
    let clocks = each(&each(&CLOCKS, &CLOCKS), &CLOCKS);
    let hosts = each(&clocks, &each(&TOLERANCES, &TOLERANCES));
    let mut cases = Vec::new();
    for ((clocks, tolerances), (delay, stamped)) in each(&hosts, &each(&DELAYS, &[true, false])) {
        let ((endpoint, broker), consumer) = clocks;
        let (endpoint_tolerance, consumer_tolerance) = tolerances;
        // The limits of both hosts and of the header, and a millisecond after each.
        let limits = [
            endpoint + endpoint_tolerance,
            broker + consumer_tolerance,
            consumer + delay + consumer_tolerance,
            broker + LATEST_TS_LIMIT,
            consumer + delay + LATEST_TS_LIMIT,
        ];
        for ts in limits.into_iter().flat_map(|limit| [limit, limit + 1]) {
            cases.push(Case {
                endpoint,
                broker,
                consumer,
                endpoint_tolerance,
                consumer_tolerance,
                delay,
                stamped,
                ts,
            });
        }
    }
    cases
}

impl Case {
    fn event(&self) -> SessionEvent {
        let (user, session) = (UserId::new("u").unwrap(), SessionId::new("s").unwrap());
        SessionEvent::End { user, session, ts: noon() + self.ts }
    }

    /// The record as the consumer reads it.
    fn record(&self, protocol: Protocol, header: Option<Timestamp>) -> Record {
        let clock = if self.stamped { self.broker } else { self.consumer + self.delay };
        let append_time = noon() + clock;
        let limited = |latest| match protocol.limit {
            true => Record::limit_latest_ts(latest, append_time),
            false => latest,
        };
        let latest_ts = header.map(limited);
        Record { append_time, unstamped: !self.stamped, latest_ts, ..Record::default() }
    }

    /// The header of the record if the endpoint answers 200.
    fn post(&self, protocol: Protocol) -> Option<Option<Timestamp>> {
        let now = noon() + self.endpoint;
        let latest = now + self.endpoint_tolerance;
        self.event().judge(now, latest).ok()?;
        // Without an append time, the endpoint can only compare its own tolerance with the limit.
        let append_time = if self.stamped { noon() + self.broker } else { now };
        let counts = Record::limit_latest_ts(latest, append_time) == latest;
        (counts || !protocol.checks_append_time).then(|| protocol.header.then_some(latest))
    }

    fn fault(&self, protocol: Protocol) -> Option<&'static str> {
        let judged = |record: Record| record.judge(&self.event(), self.consumer_tolerance);
        // On a topic with CreateTime, nothing is promised if the consumer's clock is so far behind.
        let ahead = self.endpoint + self.endpoint_tolerance - self.consumer - self.delay;
        if let Some(header) = self.post(protocol)
            && (self.stamped || ahead <= LATEST_TS_LIMIT)
            && judged(self.record(protocol, header)).is_err()
        {
            return Some("an event that was answered with 200 is refused");
        }
        let forged = self.record(protocol, Some(Timestamp::MAX));
        let most = forged.append_time + self.consumer_tolerance.max(LATEST_TS_LIMIT);
        (self.event().ts() > most && judged(forged).is_ok())
            .then_some("another program brings in the far future")
    }
}

/// Returns the number of cases, or the first fault.
fn explore(protocol: Protocol) -> Result<usize, String> {
    let cases = cases();
    for case in &cases {
        if let Some(fault) = case.fault(protocol) {
            return Err(format!("{fault}: {case:?}"));
        }
    }
    Ok(cases.len())
}

#[test]
fn an_answered_event_is_never_refused_and_no_other_program_brings_in_the_far_future() {
    assert_eq!(explore(WHOLE), Ok(219_520));
}

#[test]
fn without_the_header_an_answered_event_is_refused() {
    let fault = explore(Protocol { header: false, ..WHOLE }).unwrap_err();
    assert!(fault.starts_with("an event that was answered with 200 is refused"), "{fault}");
}

#[test]
fn without_a_look_at_the_append_time_an_answered_event_is_refused() {
    let fault = explore(Protocol { checks_append_time: false, ..WHOLE }).unwrap_err();
    assert!(fault.starts_with("an event that was answered with 200 is refused"), "{fault}");
}

#[test]
fn without_a_limit_another_program_brings_in_the_far_future() {
    let fault = explore(Protocol { limit: false, ..WHOLE }).unwrap_err();
    assert!(fault.starts_with("another program brings in the far future"), "{fault}");
}
