//! How long the brokers throttle the producer, from the driver's statistics.
//!
//! A broker whose quota is exceeded replies at once and says for how long it reads no further
//! request of this connection. Records that are sent meanwhile wait, time out, and are appended all
//! the same, so that their repetition adds to the debt. It is better not to take them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus::Counter;
use serde::Deserialize;

/// Appends wait for a throttle of up to this time, and are refused for a longer one.
const TOLERATED: Duration = Duration::from_secs(2);

/// Until when the brokers throttle the producer.
pub(in crate::log) struct Throttle {
    throttled: Mutex<Option<Throttled>>,
    seconds: Counter,
}

/// A time of throttling.
#[derive(Clone, Copy)]
struct Throttled {
    until: Instant,
    /// Up to when it is counted.
    counted: Instant,
}

/// The part of the driver's statistics that is about throttling.
#[derive(Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    throttle: Option<Window>,
}

/// The throttle times in the replies of one broker since the last statistics.
#[derive(Deserialize)]
struct Window {
    /// The longest, in milliseconds.
    max: u64,
}

impl Throttle {
    /// Counts in `seconds`.
    pub(super) fn new(seconds: Counter) -> Self {
        Self { throttled: Mutex::default(), seconds }
    }

    /// Reads the statistics of the driver, as JSON.
    pub(super) fn read(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(Statistics { brokers }) => {
                let throttles = brokers.into_values().filter_map(|broker| broker.throttle);
                let longest = throttles.map(|window| window.max).max().unwrap_or(0);
                self.report(Duration::from_millis(longest), Instant::now());
            }
            Err(error) => tracing::debug!(%error, "the statistics of the driver cannot be read"),
        }
    }

    /// The remaining throttle, if it is longer than an append should wait.
    pub(super) fn refuses(&self) -> Option<Duration> {
        self.left().filter(|left| *left > TOLERATED)
    }

    /// The remaining throttle.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = self.throttled.lock().as_ref()?.until;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Records that the brokers throttle for `longest` from `now` on.
    fn report(&self, longest: Duration, now: Instant) {
        let mut throttled = self.throttled.lock();
        let before = *throttled;
        if let Some(Throttled { until, counted }) = before {
            let passed = until.min(now).saturating_duration_since(counted);
            self.seconds.inc_by(passed.as_secs_f64());
        }
        let until = before.map_or(now, |before| before.until).max(now + longest);
        *throttled = (until > now).then_some(Throttled { until, counted: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> Throttle {
        Throttle::new(Counter::new("seconds", "Number of seconds").unwrap())
    }

    #[test]
    fn overlapping_throttles_are_counted_once_and_as_they_pass() {
        let (throttle, begun) = (throttle(), Instant::now());
        throttle.report(10 * SECOND, begun);
        assert_eq!(throttle.seconds.get(), 0.0);
        throttle.report(3 * SECOND, begun + 4 * SECOND);
        assert_eq!(throttle.seconds.get(), 4.0);
        throttle.report(SECOND, begun + 9 * SECOND + SECOND / 2);
        assert_eq!(throttle.seconds.get(), 9.5);
        throttle.report(Duration::ZERO, begun + 60 * SECOND);
        assert_eq!(throttle.seconds.get(), 10.5);
        throttle.report(Duration::ZERO, begun + 61 * SECOND);
        assert_eq!(throttle.seconds.get(), 10.5);
        assert!(throttle.left().is_none());
    }

    #[test]
    fn the_longest_throttle_of_any_broker_decides_and_a_short_one_is_waited_for() {
        let throttle = throttle();
        throttle.read(br#"{"brokers":{"a":{"throttle":{"max":1500,"min":1}},"b":{"rtt":{}}}}"#);
        assert!(throttle.left().is_some_and(|left| left > SECOND));
        assert!(throttle.refuses().is_none());
        throttle.read(br#"{"brokers":{"a":{"throttle":{"max":0}},"b":{"throttle":{"max":7000}}}}"#);
        assert!(throttle.refuses().is_some_and(|left| left > 6 * SECOND && left <= 7 * SECOND));
        throttle.read(b"{}");
        assert!(throttle.refuses().is_some());
    }
}
