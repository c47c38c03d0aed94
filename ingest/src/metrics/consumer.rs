//! The metrics of the consumer.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    Result,
};
use shared::store::cassandra::{OnRetry, RetryCause};

use super::{handled::Handled, register::Register};
use crate::log::DeadLetterCode;

/// The counter of handled records. The sum over its outcomes is their number.
pub const RECORDS_HANDLED: &str = "bookend_consumer_records_total";
/// The gauge of the consumer's lag. Its sum is 0 once queries return everything in the log.
pub const LAG: &str = "bookend_consumer_lag_records";

const SCHEMA_IDS: &str =
    "Number of records handled whose JSON follows the five bytes of a schema registry";

/// The metrics of the consumer.
#[derive(Debug)]
pub struct ConsumerMetrics {
    records: IntCounterVec,
    lag_records: IntGaugeVec,
    /// The partitions whose lag is shown.
    lag_shown: Mutex<BTreeSet<String>>,
    /// Age of the oldest uncommitted record in seconds.
    pub lag_seconds: Gauge,
    /// Number of records polled and not committed.
    pub inflight_records: IntGauge,
    rebalances: IntCounter,
    rebalances_shown: AtomicU64,
    dead_letters: IntCounterVec,
    repeated_letters: IntCounterVec,
    /// Number of records that retention removed before they were consumed.
    pub lost: IntCounter,
    /// Number of records whose JSON follows the five bytes of a schema registry.
    pub schema_ids: IntCounter,
    /// Number of sessions that became complete.
    pub completed: IntCounter,
    store_duration: HistogramVec,
    store_retries: IntCounterVec,
}

impl ConsumerMetrics {
    /// Registers the consumer's metrics.
    pub fn new(registry: &Registry) -> Result<Self> {
        let register = Register(registry);
        let metrics = Self {
            records: register.counters(
                RECORDS_HANDLED,
                "Number of records handled, by outcome",
                &["outcome"],
            )?,
            lag_records: register.int_gauges(
                LAG,
                "Number of records in the log that are not committed, by partition",
                &["partition"],
            )?,
            lag_shown: Mutex::default(),
            lag_seconds: register.gauge(
                "bookend_consumer_lag_seconds",
                "Age in seconds of the oldest record in the log that is not committed",
            )?,
            inflight_records: register.int_gauge(
                "bookend_consumer_inflight_records",
                "Number of records polled and not committed",
            )?,
            rebalances: register.counter(
                "bookend_consumer_rebalances_total",
                "Number of changes of the partitions assigned to this process",
            )?,
            rebalances_shown: AtomicU64::new(0),
            dead_letters: register.counters(
                "bookend_dead_letters_total",
                "Number of records appended to the dead letters, by code",
                &["code"],
            )?,
            repeated_letters: register.counters(
                "bookend_repeated_dead_letters_total",
                "Approximate number of dead letters whose record had one already, as after a replay, by code",
                &["code"],
            )?,
            lost: register.counter(
                "bookend_consumer_lost_records_total",
                "Number of records that retention removed from the log before they were consumed; on Kafka \
                 an upper bound, as offsets without a record count too",
            )?,
            schema_ids: register.counter("bookend_consumer_schema_ids_total", SCHEMA_IDS)?,
            completed: register.counter(
                "bookend_sessions_completed_total",
                "Number of sessions that became complete",
            )?,
            store_duration: register.seconds_by(
                "bookend_store_request_duration_seconds",
                "Time from a request to the store to its result in seconds, retries included",
                &["operation"],
            )?,
            store_retries: register.counters(
                "bookend_store_retries_total",
                "Number of requests to the store or the log that were retried, by cause",
                &["cause"],
            )?,
        };
        metrics.create_series();
        Ok(metrics)
    }

    /// Creates the series of every label with 0.
    fn create_series(&self) {
        for outcome in Handled::ALL {
            self.count(outcome, 0);
        }
        for code in DeadLetterCode::all() {
            self.dead_lettered(code, 0);
            self.repeated(code, 0);
        }
        for cause in RetryCause::ALL.map(RetryCause::as_str).into_iter().chain(["store", "log"]) {
            self.store_retries.with_label_values(&[cause]);
        }
    }

    /// Counts handled records.
    pub fn count(&self, outcome: Handled, records: u64) {
        self.records.with_label_values(&[outcome.as_str()]).inc_by(records);
    }

    /// Counts dead letters.
    pub fn dead_lettered(&self, code: DeadLetterCode, records: u64) {
        self.dead_letters.with_label_values(&[code.as_str()]).inc_by(records);
    }

    /// Counts dead letters whose record had one already.
    pub fn repeated(&self, code: DeadLetterCode, records: u64) {
        self.repeated_letters.with_label_values(&[code.as_str()]).inc_by(records);
    }

    /// Sets the lag of each partition in records. Partitions that are gone are no longer shown.
    pub fn lag(&self, partitions: impl IntoIterator<Item = (i32, i64)>) {
        let mut shown = self.lag_shown.lock();
        let before = std::mem::take(&mut *shown);
        for (partition, records) in partitions {
            let label = partition.to_string();
            self.lag_records.with_label_values(&[&label]).set(records.max(0));
            shown.insert(label);
        }
        for gone in before.difference(&shown) {
            // It is an error only if there is no such series.
            drop(self.lag_records.remove_label_values(&[gone]));
        }
    }

    /// Counts rebalances up to `total`.
    pub fn rebalanced(&self, total: u64) {
        let before = self.rebalances_shown.fetch_max(total, Ordering::Relaxed);
        self.rebalances.inc_by(total.saturating_sub(before));
    }

    /// The histogram of one operation of the store, in seconds.
    #[must_use]
    pub fn store_duration(&self, operation: &'static str) -> Histogram {
        self.store_duration.with_label_values(&[operation])
    }

    /// Returns the callback that counts the requests that the Cassandra store retries by itself.
    #[must_use]
    pub fn on_store_retry(&self) -> OnRetry {
        let retries = self.store_retries.clone();
        OnRetry::new(move |cause| retries.with_label_values(&[cause.as_str()]).inc())
    }

    /// Counts a retry.
    pub fn retried(&self, cause: &'static str) {
        self.store_retries.with_label_values(&[cause]).inc();
    }
}
