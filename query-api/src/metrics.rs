//! The metrics of the query service. Their names are a contract with dashboards and alerts.

use std::{sync::Arc, time::Instant};

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use shared::http::Caller;

use crate::sessions::LongHistories;

/// The metrics of the query service. Their labels come from closed sets: routes and HTTP statuses.
#[derive(Debug)]
pub struct QueryMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    rows: IntCounterVec,
    /// Reports pages in the order of session ids.
    pub(crate) long_histories: LongHistories,
}

/// A request in flight. Dropping this counts the request, as `aborted` unless its reply is
/// complete.
pub(crate) struct Measured {
    metrics: Arc<QueryMetrics>,
    route: &'static str,
    caller: Caller,
    began: Instant,
    status: Option<u16>,
}

impl QueryMetrics {
    /// Registers the metrics in `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let long_histories = IntCounter::new(
            "bookend_query_long_histories_total",
            "Number of pages of open sessions or orphans in the order of session ids, because their user has more sessions than a page can sort by time",
        )?;
        registry.register(Box::new(long_histories.clone()))?;
        let metrics = Self {
            long_histories: LongHistories::new(long_histories),
            requests: IntCounterVec::new(
                Opts::new(
                    "bookend_query_requests_total",
                    "Number of requests, by status and key; `aborted` if the reply was not sent completely",
                ),
                &["route", "status", "key"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "bookend_query_request_duration_seconds",
                    "Time from a request's headers to the end of its reply in seconds",
                )
                .buckets(vec![
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
                ]),
                &["route"],
            )?,
            rows: IntCounterVec::new(
                Opts::new(
                    "bookend_query_rows_total",
                    "Number of starts, sessions, counts and explanations in replies",
                ),
                &["route"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.rows.clone()))?;
        Ok(metrics)
    }

    /// Starts to measure a request.
    pub(crate) fn begin(self: &Arc<Self>, route: &'static str, caller: &Caller) -> Measured {
        let caller = caller.clone();
        Measured { metrics: Arc::clone(self), route, caller, began: Instant::now(), status: None }
    }
}

impl Measured {
    /// Counts rows of the reply.
    pub(crate) fn rows(&self, rows: usize) {
        self.metrics.rows.with_label_values(&[self.route]).inc_by(rows as u64);
    }

    /// Counts the request with this HTTP status: its reply is complete.
    pub(crate) fn answered(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let status = self.status.map_or_else(|| "aborted".to_owned(), |status| status.to_string());
        self.metrics.requests.with_label_values(&[self.route, &status, self.caller.key_id()]).inc();
        self.metrics
            .duration
            .with_label_values(&[self.route])
            .observe(self.began.elapsed().as_secs_f64());
    }
}
