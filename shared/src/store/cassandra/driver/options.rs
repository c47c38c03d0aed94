//! Options of the Cassandra store: addresses, credentials and limits.
//!
//! Never reads the environment. Files named here are read when the store is opened.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{config::Secret, timestamp::MARGIN};

/// How to connect to Cassandra, and the limits of its use.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// Contact points as `host:port`. The driver discovers the other nodes.
    pub nodes: Vec<String>,
    /// Keyspace of the tables: lower-case letters, digits and `_`.
    pub keyspace: String,
    /// Data centre whose nodes serve all requests, at `LOCAL_QUORUM`. Every process that reads or
    /// writes must name the same one. Without it, all nodes serve requests, at `QUORUM`.
    pub datacenter: Option<String>,
    /// User name, if the server requires a login.
    pub username: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// TLS settings; unencrypted without them.
    pub tls: Option<CassandraTls>,
    /// Maximum number of requests in flight.
    pub max_in_flight: usize,
    /// Timeout of one attempt of a request.
    pub request_timeout: Duration,
    /// Time that a row is kept beyond the retention, in milliseconds.
    pub margin_ms: i64,
    /// Number of starts that this process writes to a partition of a country's day before it moves
    /// on to the next layout.
    pub starts_per_partition: u64,
    /// Called for every retry of a request.
    pub on_retry: OnRetry,
}

/// TLS settings. The server's certificate is always verified.
#[derive(Clone, Debug)]
pub struct CassandraTls {
    /// Trusted CA certificates in PEM.
    pub ca_file: PathBuf,
    /// Name that the certificate of every node must hold; by default the address of the node.
    pub server_name: Option<String>,
}

/// Why a request was retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryCause {
    /// Too few replicas replied in time, or the whole request timed out.
    Timeout,
    /// Too few replicas are alive.
    Unavailable,
    /// The server is overloaded or limits the rate.
    Overloaded,
    /// The connection broke, or no node is connected.
    Connection,
    /// A node failed while it processed the request.
    Failure,
    /// The user lacks a permission, or the nodes cannot read the permissions.
    Unauthorized,
    /// A node refused the request, for example for a missing table or a guardrail.
    Refused,
}

/// Callback for every retry of a request, for a metric; does nothing by default.
#[derive(Clone)]
pub struct OnRetry(Arc<dyn Fn(RetryCause) + Send + Sync>);

impl Default for CassandraOptions {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "bookend".to_owned(),
            datacenter: None,
            username: None,
            password: None,
            tls: None,
            max_in_flight: 512,
            request_timeout: Duration::from_secs(6),
            margin_ms: MARGIN,
            starts_per_partition: 50_000,
            on_retry: OnRetry::default(),
        }
    }
}

impl RetryCause {
    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::Timeout,
        Self::Unavailable,
        Self::Overloaded,
        Self::Connection,
        Self::Failure,
        Self::Unauthorized,
        Self::Refused,
    ];

    /// The label value of the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Connection => "connection",
            Self::Failure => "failure",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
        }
    }
}

impl OnRetry {
    /// Calls `callback` with the cause of every retry. It must not block.
    pub fn new(callback: impl Fn(RetryCause) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(super) fn call(&self, cause: RetryCause) {
        (self.0)(cause);
    }
}

impl Default for OnRetry {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRetry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let options =
            CassandraOptions { password: Some(Secret::new("hunter2")), ..Default::default() };
        let printed = format!("{options:?}");
        assert!(printed.contains("[redacted]") && !printed.contains("hunter2"), "{printed}");
    }
}
