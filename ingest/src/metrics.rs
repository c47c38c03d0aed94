//! What the endpoint and the consumer count. Labels come from closed sets, never from a user or a session.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, core::Collector,
};
use shared::{
    event::RejectionCode,
    store::cassandra::{OnRetry, RetryCause},
};

pub use self::handled::Handled;
use self::under_way::UnderWay;
use crate::log::DeadLetterCode;

mod handled;
mod under_way;

/// The records handled: its sum over the outcomes is how many.
pub const RECORDS_HANDLED: &str = "bookend_consumer_records_total";
/// The records not answered yet: its sum over the partitions is 0 when the query service answers all that is in the log.
pub const LAG: &str = "bookend_consumer_lag_records";

/// Seconds, from a fraction of a durable append to the deadline of a request.
const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];

/// What the endpoint counts.
#[derive(Debug)]
pub struct IngestMetrics {
    events: IntCounterVec,
    requests: IntCounterVec,
    /// From a request's last header to its answer, in seconds.
    pub request_duration: Histogram,
    /// Events in a batch.
    pub batch_events: Histogram,
    /// Bytes of bodies that are being read or appended.
    pub inflight_bytes: IntGauge,
    /// From an append to its durability, in seconds.
    pub append_duration: Histogram,
    queue_records: IntGauge,
}

/// What became of an event at the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log.
    Accepted,
    /// It is too old, which is nobody's fault.
    Discarded,
    /// It was refused.
    Rejected(RejectionCode),
}

impl IngestMetrics {
    /// Registers the endpoint's metrics.
    ///
    /// # Errors
    /// [`prometheus::Error`] when a name is taken, which is a defect.
    pub fn new(registry: &Registry) -> Result<Self> {
        let metrics = Self {
            events: counters(
                registry,
                "bookend_ingest_events_total",
                "Events received, by what became of them",
                &["outcome", "code"],
            )?,
            requests: counters(
                registry,
                "bookend_ingest_requests_total",
                "Requests answered",
                &["status"],
            )?,
            request_duration: seconds(
                registry,
                "bookend_ingest_request_duration_seconds",
                "Time from a request's headers to its answer",
            )?,
            batch_events: added(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new("bookend_ingest_batch_events", "Events in a batch").buckets(
                        vec![1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0],
                    ),
                )?,
            )?,
            inflight_bytes: added(
                registry,
                IntGauge::new(
                    "bookend_ingest_inflight_bytes",
                    "Bytes of bodies being read or appended",
                )?,
            )?,
            append_duration: seconds(
                registry,
                "bookend_log_append_duration_seconds",
                "Time until an append was durable",
            )?,
            queue_records: added(
                registry,
                IntGauge::new("bookend_log_queue_records", "Records that wait to become durable")?,
            )?,
        };
        // Every series exists from the start: a rate over one that appears with its first increment misses that increment.
        metrics.count(Outcome::Accepted, 0);
        metrics.count(Outcome::Discarded, 0);
        for code in RejectionCode::ALL {
            metrics.count(Outcome::Rejected(*code), 0);
        }
        Ok(metrics)
    }

    /// Counts events.
    pub fn count(&self, outcome: Outcome, events: u64) {
        let labels = match outcome {
            Outcome::Accepted => ["accepted", ""],
            Outcome::Discarded => ["discarded", RejectionCode::Expired.as_str()],
            Outcome::Rejected(RejectionCode::Expired) => return,
            Outcome::Rejected(code) => ["rejected", code.as_str()],
        };
        self.events.with_label_values(&labels).inc_by(events);
    }

    /// Shows how many records wait to become durable.
    pub fn show_queue(&self, records: usize) {
        self.queue_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts an answered request.
    pub fn answered(&self, status: u16) {
        self.requests.with_label_values(&[status.to_string()]).inc();
    }
}

/// What the consumer counts.
#[derive(Debug)]
pub struct ConsumerMetrics {
    records: IntCounterVec,
    lag_records: IntGaugeVec,
    /// Age of the oldest record that is not answered yet, in seconds.
    pub lag_seconds: Gauge,
    /// Records polled and not committed.
    pub inflight_records: IntGauge,
    pub(crate) under_way: UnderWay,
    rebalances: IntCounter,
    rebalances_shown: AtomicU64,
    dead_letters: IntCounterVec,
    /// Sessions that became complete.
    pub completed: IntCounter,
    store_duration: HistogramVec,
    store_retries: IntCounterVec,
}

impl ConsumerMetrics {
    /// Registers the consumer's metrics.
    ///
    /// # Errors
    /// [`prometheus::Error`] when a name is taken, which is a defect.
    pub fn new(registry: &Registry) -> Result<Self> {
        let metrics = Self {
            records: counters(
                registry,
                RECORDS_HANDLED,
                "Records handled, by what became of them",
                &["outcome"],
            )?,
            lag_records: added(
                registry,
                IntGaugeVec::new(
                    Opts::new(LAG, "Records in the log that are not answered yet"),
                    &["partition"],
                )?,
            )?,
            lag_seconds: added(
                registry,
                Gauge::new(
                    "bookend_consumer_lag_seconds",
                    "Age of the oldest record that is not answered yet",
                )?,
            )?,
            inflight_records: added(
                registry,
                IntGauge::new(
                    "bookend_consumer_inflight_records",
                    "Records polled and not committed",
                )?,
            )?,
            under_way: UnderWay::default(),
            rebalances: added(
                registry,
                IntCounter::new(
                    "bookend_consumer_rebalances_total",
                    "Changes of the partitions consumed here",
                )?,
            )?,
            rebalances_shown: AtomicU64::new(0),
            dead_letters: counters(
                registry,
                "bookend_dead_letters_total",
                "Records that went to the dead letters",
                &["code"],
            )?,
            completed: added(
                registry,
                IntCounter::new(
                    "bookend_sessions_completed_total",
                    "Sessions that became complete",
                )?,
            )?,
            store_duration: added(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "bookend_store_request_duration_seconds",
                        "Time a verb of the store took",
                    )
                    .buckets(SECONDS.to_vec()),
                    &["operation"],
                )?,
            )?,
            store_retries: counters(
                registry,
                "bookend_store_retries_total",
                "Requests to the store or the log that were made again",
                &["cause"],
            )?,
        };
        for outcome in Handled::ALL {
            metrics.count(outcome, 0);
        }
        for code in DeadLetterCode::all() {
            metrics.dead_lettered(code, 0);
        }
        for cause in RetryCause::ALL.map(RetryCause::as_str).into_iter().chain(["store", "log"]) {
            metrics.store_retries.with_label_values(&[cause]);
        }
        Ok(metrics)
    }

    /// Counts handled records.
    pub fn count(&self, outcome: Handled, records: u64) {
        self.records.with_label_values(&[outcome.as_str()]).inc_by(records);
    }

    /// Counts dead letters.
    pub fn dead_lettered(&self, code: DeadLetterCode, records: u64) {
        self.dead_letters.with_label_values(&[code.as_str()]).inc_by(records);
    }

    /// Shows how many records of `partition` are not answered yet.
    pub fn lag(&self, partition: i32, records: i64) {
        self.lag_records.with_label_values(&[partition.to_string()]).set(records);
    }

    /// Shows that the partitions consumed here have changed `in_all` times.
    pub fn rebalanced(&self, in_all: u64) {
        let before = self.rebalances_shown.fetch_max(in_all, Ordering::Relaxed);
        self.rebalances.inc_by(in_all.saturating_sub(before));
    }

    /// The histogram of one verb of the store, in seconds.
    #[must_use]
    pub fn store_duration(&self, operation: &'static str) -> Histogram {
        self.store_duration.with_label_values(&[operation])
    }

    /// What counts the requests to Cassandra that its store makes again by itself, by their cause.
    #[must_use]
    pub fn on_store_retry(&self) -> OnRetry {
        let retries = self.store_retries.clone();
        OnRetry::new(move |cause| retries.with_label_values(&[cause.as_str()]).inc())
    }

    /// Counts a request that is made again.
    pub fn retried(&self, cause: &'static str) {
        self.store_retries.with_label_values(&[cause]).inc();
    }
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    added(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Result<Histogram> {
    added(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?)
}
