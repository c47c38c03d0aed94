//! Clock skew: by how much the clock of a server is ahead of this machine's, as measured.
//!
//! A measurement is an interval, because a request takes time. The narrowest recent one counts,
//! unless a newer one excludes it: then a clock was set meanwhile.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus::{
    Gauge, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::timestamp::{MINUTE, SECOND, Timestamp};

const NAME: &str = "bookend_clock_skew_seconds";
const HELP: &str = "Number of seconds by which the clock of a server is ahead of this machine's; \
    NaN while nothing is measured";

/// The servers whose clocks are measured. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The brokers.
    Kafka,
    /// The nodes.
    Cassandra,
}

/// The limits of a skew in milliseconds; positive if the server is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The skew is at least this.
    pub least: i64,
    /// The skew is at most this.
    pub most: i64,
}

/// The skews of one kind of server, by the name `K` of each.
#[derive(Debug)]
pub struct Skew<K> {
    server: Server,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    windows: BTreeMap<K, Window>,
    /// The server whose skew exceeds a minute, which was logged.
    warned: Option<K>,
}

/// The narrowest measurements of the present half of the time, and of the one before.
#[derive(Clone, Copy, Debug)]
struct Window {
    half: Duration,
    begun: Instant,
    now: Interval,
    before: Option<Interval>,
}

/// The metric of a [`Skew`], computed when it is collected.
struct Metric<K> {
    gauge: Gauge,
    skew: Option<Arc<Skew<K>>>,
}

impl Server {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
        }
    }

    /// Half of the time for which a measurement counts. Brokers are measured whenever something is
    /// appended; nodes every minute.
    const fn half(self) -> Duration {
        match self {
            Self::Kafka => Duration::from_secs(30),
            Self::Cassandra => Duration::from_secs(75),
        }
    }

    /// What a skew of this server means.
    const fn effect(self) -> &'static str {
        match self {
            Self::Kafka => {
                "events of direct producers are judged by the brokers' clock and the lag in seconds is wrong by \
                 the skew; events of the endpoint are safe up to an hour"
            }
            Self::Cassandra => {
                "rows may expire earlier or later by the skew, and a DELETE by hand may miss rows"
            }
        }
    }
}

impl Interval {
    /// Of a server whose clock showed `shown`, cut to a millisecond, between `sent` and `received`.
    /// `None` if this machine's clock was set back meanwhile.
    #[must_use]
    pub fn of(shown: Timestamp, sent: Timestamp, received: Timestamp) -> Option<Self> {
        (sent <= received).then(|| Self { least: shown - received, most: shown - sent + 1 })
    }

    /// Of a server whose clock was ahead by at least `least` milliseconds.
    #[must_use]
    pub const fn at_least(least: i64) -> Self {
        Self { least, most: i64::MAX }
    }

    const fn width(self) -> i64 {
        self.most.saturating_sub(self.least)
    }

    /// Whether the skew is certainly above a minute, in either direction.
    const fn is_large(self) -> bool {
        self.least > MINUTE || self.most < -MINUTE
    }

    /// Whether the skew is certainly at most a minute, in either direction.
    const fn is_small(self) -> bool {
        self.least >= -MINUTE && self.most <= MINUTE
    }

    /// The most probable value: the middle, or the limit if there is only one.
    const fn value(self) -> i64 {
        if self.most == i64::MAX { self.least } else { self.least + self.width() / 2 }
    }

    /// The narrower of this one and an older one; this one if no skew is in both.
    fn or_narrower(self, older: Option<Self>) -> Self {
        let narrower = |older: &Self| older.width() < self.width();
        let agrees = |older: &Self| older.least <= self.most && self.least <= older.most;
        older.filter(narrower).filter(agrees).unwrap_or(self)
    }
}

impl Window {
    fn add(&mut self, interval: Interval, now: Instant) {
        let age = now.duration_since(self.begun);
        if age < self.half {
            self.now = interval.or_narrower(Some(self.now));
        } else {
            let before = (age < 2 * self.half).then_some(self.now);
            *self = Self { half: self.half, begun: now, now: interval, before };
        }
    }

    fn get(&self, now: Instant) -> Option<Interval> {
        let age = now.duration_since(self.begun);
        (age < 2 * self.half).then(|| self.now.or_narrower(self.before.filter(|_| age < self.half)))
    }
}

impl<K> State<K> {
    fn recent(&self) -> impl Iterator<Item = Interval> {
        let now = Instant::now();
        self.windows.values().filter_map(move |window| window.get(now))
    }
}

impl<K: Clone + Display + Ord> Skew<K> {
    /// No measurement of `server` yet.
    #[must_use]
    pub fn new(server: Server) -> Self {
        let state = State { windows: BTreeMap::new(), warned: None };
        Self { server, state: Mutex::new(state) }
    }

    /// Adds a measurement of the server `name`. Logs one warning when the skew exceeds a minute.
    pub fn measured(&self, name: K, interval: Interval) {
        self.measured_at(name, interval, Instant::now());
    }

    fn measured_at(&self, name: K, interval: Interval, now: Instant) {
        let (server, mut state) = (self.server, self.state.lock());
        let begin = || Window { half: server.half(), begun: now, now: interval, before: None };
        let window = state.windows.entry(name.clone()).or_insert_with(begin);
        window.add(interval, now);
        let Some(interval) = window.get(now) else { return };
        match &state.warned {
            None if interval.is_large() => {
                let (effect, seconds) = (server.effect(), interval.value() / SECOND);
                tracing::warn!(
                    server = server.as_str(),
                    %name,
                    seconds,
                    "the clock of a server differs from this machine's by more than a minute (positive: the server is \
                     ahead): {effect}; synchronise the clocks"
                );
                state.warned = Some(name);
            }
            Some(warned) if *warned == name && interval.is_small() => {
                tracing::info!(
                    server = server.as_str(),
                    %name,
                    "the clock of the server differs from this machine's by less than a minute again"
                );
                state.warned = None;
            }
            _ => {}
        }
    }

    /// The recent measurement that is farthest from zero.
    #[must_use]
    pub fn worst(&self) -> Option<Interval> {
        let state = self.state.lock();
        state.recent().max_by_key(|interval| interval.value().saturating_abs())
    }

    /// The least skew that a recent measurement allows; `None` without one.
    #[must_use]
    pub fn least(&self) -> Option<i64> {
        self.state.lock().recent().map(|interval| interval.least).min()
    }
}

/// Registers the metric of `server`, which shows `skew` if the process measures it.
pub fn register<K: Clone + Display + Ord + Send + 'static>(
    registry: &Registry,
    server: Server,
    skew: Option<Arc<Skew<K>>>,
) -> prometheus::Result<()> {
    let opts = Opts::new(NAME, HELP).const_label("server", server.as_str());
    registry.register(Box::new(Metric { gauge: Gauge::with_opts(opts)?, skew }))
}

impl<K: Clone + Display + Ord + Send + 'static> Collector for Metric<K> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let worst = self.skew.as_ref().and_then(|skew| skew.worst());
        #[expect(clippy::cast_precision_loss, reason = "a skew in milliseconds is far below 2^52")]
        let seconds = worst.map_or(f64::NAN, |worst| worst.value() as f64 / SECOND as f64);
        self.gauge.set(seconds);
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(least: i64, most: i64) -> Interval {
        Interval { least, most }
    }

    #[test]
    fn a_clock_is_seen_between_the_request_and_its_reply() {
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let of = |shown, sent, received| Interval::of(at(shown), at(sent), at(received));
        assert_eq!(of(5_000, 1_000, 1_200), Some(interval(3_800, 4_001)));
        assert_eq!(of(1_000, 5_000, 5_200), Some(interval(-4_200, -3_999)));
        assert_eq!(of(5_000, 5_000, 1_500), None, "the clock was set back meanwhile");
    }

    #[test]
    fn the_narrowest_measurement_of_the_last_minute_counts() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let half = Server::Kafka.half();
        let mut window = Window { half, begun: begin, now: interval(0, 100), before: None };
        window.add(interval(40, 50), after(10));
        window.add(interval(0, 45), after(20));
        assert_eq!(window.get(after(20)), Some(interval(40, 50)));
        window.add(interval(-20, 60), after(40));
        assert_eq!(window.get(after(45)), Some(interval(40, 50)), "of the half minute before");
        window.add(interval(-20, 20), after(75));
        assert_eq!(window.get(after(75)), Some(interval(-20, 20)));
        assert_eq!(window.get(after(134)), Some(interval(-20, 20)));
        assert_eq!(window.get(after(135)), None, "idle for a minute");
        window.add(interval(0, 500), after(300));
        assert_eq!(window.get(after(300)), Some(interval(0, 500)));
    }

    #[test]
    fn a_measurement_that_excludes_an_older_narrower_one_replaces_it() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let half = Server::Kafka.half();
        let mut window = Window { half, begun: begin, now: interval(0, 2), before: None };
        window.add(interval(90_000, 90_200), after(10));
        assert_eq!(window.get(after(10)), Some(interval(90_000, 90_200)));
        window.add(interval(0, 1_000), after(31));
        assert_eq!(window.get(after(31)), Some(interval(0, 1_000)), "of the half minute before");
        window.add(Interval::at_least(95_000), after(32));
        assert_eq!(window.get(after(32)), Some(Interval::at_least(95_000)));
    }

    #[test]
    fn the_metric_shows_the_worst_server_and_nothing_while_idle() {
        let registry = Registry::new();
        let skew = Arc::new(Skew::new(Server::Kafka));
        register(&registry, Server::Kafka, Some(Arc::clone(&skew))).unwrap();
        register::<i32>(&registry, Server::Cassandra, None).unwrap();
        let shown = || {
            let families = registry.gather();
            assert_eq!(families.len(), 1);
            let metrics = families[0].get_metric();
            metrics.iter().map(|metric| metric.get_gauge().get_value()).collect::<Vec<_>>()
        };
        assert!(shown().iter().all(|value| value.is_nan()));
        skew.measured(0, interval(-10, 10));
        skew.measured(1, interval(-90_010, -89_990));
        skew.measured(2, interval(59_000, 61_000));
        assert_eq!(shown()[1], -90.0);
        assert_eq!(skew.least(), Some(-90_010));
        skew.measured(3, Interval::at_least(100_000));
        assert_eq!(shown()[1], 100.0);
    }

    #[test]
    fn a_large_skew_is_logged_once_until_it_is_small_again() {
        let (skew, begin) = (Skew::new(Server::Cassandra), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let warned = |skew: &Skew<i32>| skew.state.lock().warned;
        skew.measured_at(0, interval(59_000, 61_000), at(0));
        assert_eq!(warned(&skew), None, "it may be less than a minute");
        skew.measured_at(1, interval(-61_000, -60_500), at(1));
        assert_eq!(warned(&skew), Some(1));
        skew.measured_at(0, interval(-5, 5), at(2));
        assert_eq!(warned(&skew), Some(1), "of the other server");
        skew.measured_at(0, interval(70_000, 70_010), at(3));
        assert_eq!(warned(&skew), Some(1), "one warning");
        skew.measured_at(0, interval(-5, 5), at(300));
        assert_eq!(warned(&skew), Some(1), "nothing is known of the other server");
        skew.measured_at(1, interval(-70_000, 5), at(301));
        skew.measured_at(1, Interval::at_least(5), at(500));
        assert_eq!(warned(&skew), Some(1), "it may be more than a minute");
        skew.measured_at(1, interval(-5, 5), at(501));
        assert_eq!(warned(&skew), None);
    }
}
