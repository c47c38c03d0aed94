//! The metrics of the endpoint.

use prometheus::{Histogram, IntCounterVec, IntGauge, Registry, Result};
use shared::event::RejectionCode;

use super::register::Register;
use crate::log::RefusalCause;

/// The buckets of the number of events in a batch.
const BATCH_EVENTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0];

/// The metrics of the endpoint.
#[derive(Debug)]
pub struct IngestMetrics {
    events: IntCounterVec,
    requests: IntCounterVec,
    /// Time from the headers of a request to its response, in seconds.
    pub request_duration: Histogram,
    /// Number of events in a batch.
    pub batch_events: Histogram,
    /// Number of bytes of bodies that are being read or appended.
    pub inflight_bytes: IntGauge,
    /// Time from an append to its durability, in seconds.
    pub append_duration: Histogram,
    queue_records: IntGauge,
    refusals: IntCounterVec,
}

/// The outcome of an event at the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is in the log.
    Accepted,
    /// It is older than the retention, which is not the client's fault.
    Discarded,
    /// It was rejected.
    Rejected(RejectionCode),
}

impl IngestMetrics {
    /// Registers the endpoint's metrics.
    pub fn new(registry: &Registry) -> Result<Self> {
        let register = Register(registry);
        let metrics = Self {
            events: register.counters(
                "bookend_ingest_events_total",
                "Number of events received, by outcome and rejection code",
                &["outcome", "code"],
            )?,
            requests: register.counters(
                "bookend_ingest_requests_total",
                "Number of responses, by status and key; `none` without a key",
                &["status", "key"],
            )?,
            request_duration: register.seconds(
                "bookend_ingest_request_duration_seconds",
                "Time from the headers of a request to its response in seconds",
            )?,
            batch_events: register.sizes(
                "bookend_ingest_batch_events",
                "Number of events in a batch",
                &BATCH_EVENTS,
            )?,
            inflight_bytes: register.int_gauge(
                "bookend_ingest_inflight_bytes",
                "Number of bytes of bodies that are being read or appended",
            )?,
            append_duration: register.seconds(
                "bookend_log_append_duration_seconds",
                "Time from an append to its durability in seconds",
            )?,
            queue_records: register.int_gauge(
                "bookend_log_queue_records",
                "Number of appended records that are not durable yet",
            )?,
            refusals: register.counters(
                "bookend_log_refusals_total",
                "Number of batches that the brokers refused until an operator changes something, by cause",
                &["cause"],
            )?,
        };
        // Every series starts at 0: `rate` misses the increment with which a series appears.
        metrics.count(EventOutcome::Accepted, 0);
        metrics.count(EventOutcome::Discarded, 0);
        for code in RejectionCode::ALL {
            metrics.count(EventOutcome::Rejected(*code), 0);
        }
        for cause in RefusalCause::ALL {
            metrics.refusals.with_label_values(&[cause.as_str()]);
        }
        Ok(metrics)
    }

    /// Counts a batch that the brokers refused.
    pub fn refused(&self, cause: RefusalCause) {
        self.refusals.with_label_values(&[cause.as_str()]).inc();
    }

    /// Counts events.
    pub fn count(&self, outcome: EventOutcome, events: u64) {
        let labels = match outcome {
            EventOutcome::Accepted => ["accepted", ""],
            EventOutcome::Discarded => ["discarded", RejectionCode::Expired.as_str()],
            EventOutcome::Rejected(RejectionCode::Expired) => return,
            EventOutcome::Rejected(code) => ["rejected", code.as_str()],
        };
        self.events.with_label_values(&labels).inc_by(events);
    }

    /// Sets the number of records that are not durable yet.
    pub fn show_queue(&self, records: usize) {
        self.queue_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts a response.
    pub fn answered(&self, status: u16, key: &str) {
        self.requests.with_label_values(&[status.to_string().as_str(), key]).inc();
    }
}
