//! The query service: returns the sessions that started in each country and the most recent
//! sessions of a user.
//!
//! It reads from [`shared::store`] and applies the canonical rule of [`shared::session`]. It never
//! writes to the store and never connects to Kafka. A reply is a function of the events in the
//! store and of the time of the query: it omits what is older than the retention, even when the
//! store still contains it.

pub mod config;
mod cursor;
mod error;
mod explain;
mod http;
mod metrics;
mod params;
pub mod service;
mod sessions;
mod starts;
mod window;

use std::time::Duration;

use shared::timestamp::MINUTE;

pub use crate::{
    http::{QueryService, routes},
    metrics::QueryMetrics,
};

/// The options of the query service. The defaults fit an ingest with its defaults.
#[derive(Clone, Copy, Debug)]
pub struct QueryOptions {
    /// The time by which a client's clock may run ahead, in milliseconds. The window of `days` and
    /// `hours` ends this much after now, so that it includes a start from such a client. This is
    /// the tolerance of ingest, 5 minutes by default.
    pub future_tolerance_ms: i64,
    /// The number of point queries at a time; others wait for a permit. Each is about one session
    /// or one page of a user's complete sessions, so its reply takes up to some 60 kB.
    pub points: usize,
    /// The number of range queries at a time, which are all others; further ones wait for a permit.
    /// The largest reply has 10,000 starts, some 4 MB, so this limits the memory for replies.
    pub ranges: usize,
    /// The time from accepting a request to the first byte of its reply, with the wait for a
    /// permit; after it the reply is a 503. A streamed reply ends when the store makes no progress
    /// for as long; the time that the client takes to read does not count.
    pub deadline: Duration,
    /// The number of streamed replies that may be in flight; the next one gets a 503. Each takes
    /// less than 1 MiB, however long it is, and up to 1.4 MiB more when it is compressed. On
    /// Cassandra, which is read ahead by some days of some countries, each takes a few MiB, or tens
    /// of MiB where a day has millions of starts.
    pub streams: usize,
    /// The time that a client may take to send a request's body.
    pub body_timeout: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            future_tolerance_ms: 5 * MINUTE,
            points: 256,
            ranges: 16,
            deadline: Duration::from_secs(12),
            streams: 32,
            body_timeout: Duration::from_secs(10),
        }
    }
}
