//! What the Cassandra store is told: where the nodes are, who asks, and its limits.
//!
//! Never reads the environment or a file by itself: the certificate's path is only followed when the store is opened.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{config::Secret, timestamp::DAY};

/// How to reach Cassandra, and what may be asked of it at once.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// Where to begin, as `host:port`; the other nodes are found from there.
    pub nodes: Vec<String>,
    /// The keyspace that holds the tables: lower-case letters, digits and `_`.
    pub keyspace: String,
    /// The data centre whose nodes are asked, at `LOCAL_QUORUM`: the same one for every process that writes or reads. Without
    /// it all nodes are asked, at `QUORUM`.
    pub datacenter: Option<String>,
    /// The user name, where the server asks for one.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
    /// How the connection is encrypted; not at all by default.
    pub tls: Option<CassandraTls>,
    /// The most requests under way at once.
    pub max_in_flight: usize,
    /// How long one try of a request may take.
    pub request_timeout: Duration,
    /// How much longer than the retention a row stays in the database, in milliseconds.
    pub margin_ms: i64,
    /// How many starts of a country's day this process writes to a partition before it takes more partitions.
    pub starts_per_partition: u64,
    /// Told of every request that is tried again.
    pub on_retry: OnRetry,
}

/// How the connection is encrypted. The server's certificate is verified always.
#[derive(Clone, Debug)]
pub struct CassandraTls {
    /// The certificates of the authorities that are trusted, in PEM: one's own, or the file of the system.
    pub ca_file: PathBuf,
    /// The name that the certificate of every node has to hold; the address by which a node is reached when it is not given.
    pub server_name: Option<String>,
}

/// Why a request was tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryCause {
    /// Not enough nodes answered in time, or the whole request took too long.
    Timeout,
    /// Not enough nodes are alive.
    Unavailable,
    /// The database asks for a pause.
    Overloaded,
    /// The connection broke, or there is none.
    Connection,
    /// A node failed while it handled the request.
    Failure,
    /// The user may not do it, or the nodes cannot look up whether it may.
    Unauthorized,
}

/// Told of every request that is tried again, for a metric; does nothing by default.
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
            margin_ms: DAY,
            starts_per_partition: 50_000,
            on_retry: OnRetry::default(),
        }
    }
}

impl RetryCause {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::Timeout,
        Self::Unavailable,
        Self::Overloaded,
        Self::Connection,
        Self::Failure,
        Self::Unauthorized,
    ];

    /// The word for it in a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Connection => "connection",
            Self::Failure => "failure",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl OnRetry {
    /// Calls `told` with the cause of every retry. It must not block.
    pub fn new(told: impl Fn(RetryCause) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(super) fn tell(&self, cause: RetryCause) {
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
