//! Answers which sessions started where, and which are a user's last complete ones.
//!
//! Reads only: it builds on [`shared::store`] and the canonical rule of [`shared::session`], writes nothing and never speaks
//! to Kafka. An answer is a function of the events in the store and of the instant asked for: what is older than the
//! retention is left out whether or not the store still holds it.

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
    http::{calls, methods, routes},
    metrics::QueryMetrics,
};

/// How the query service answers. The default is right beside an ingest with its own default.
#[derive(Clone, Copy, Debug)]
pub struct QueryOptions {
    /// How far a client's clock may run ahead, in milliseconds: the window of `days` and `hours` ends this much later than
    /// now, so that a start stamped slightly ahead is seen at once. The ingest's tolerance, 5 minutes unless configured.
    pub future_tolerance_ms: i64,
    /// How many requests may read the store at a time; the others wait for their turn. With the largest reply (10,000
    /// starts, some 4 MB) this bounds the memory that answering takes.
    pub reads: usize,
    /// How long a request may wait for its turn; then it is answered 503.
    pub turn_timeout: Duration,
    /// How many uncut replies may be under way; one more is answered 503. Each takes less than 1 MiB, however long it is,
    /// and on Cassandra, where some days of some countries are read ahead, a few MiB: tens where a day has millions of starts.
    pub streams: usize,
    /// How long a request's body may take to come.
    pub body_timeout: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            future_tolerance_ms: 5 * MINUTE,
            reads: 16,
            turn_timeout: Duration::from_secs(15),
            streams: 32,
            body_timeout: Duration::from_secs(10),
        }
    }
}
