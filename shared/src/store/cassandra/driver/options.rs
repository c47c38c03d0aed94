//! Options of the Cassandra store: addresses, credentials and limits.
//!
//! Never reads the environment. Files named here are read when the store is opened.

use std::{fmt, net::Ipv6Addr, sync::Arc, time::Duration};

use scylla::statement::Consistency;

use super::{
    error::{CassandraOpenError, Result},
    tls::{self, CassandraTls},
};
use crate::{config::Secret, timestamp::MARGIN};

/// The highest limit of requests in flight. More could time out together than the driver bears on
/// one connection.
const MAX_IN_FLIGHT: usize = 1_000;

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
    /// Timeout of one attempt of a request, not shorter than the timeouts of the servers: a request
    /// that is given up earlier is still work for them.
    pub request_timeout: Duration,
    /// Time limit of a query, half of which an attempt of a read may take. Without one, as for a
    /// command, reads are as patient as writes.
    pub query_deadline: Option<Duration>,
    /// Time that a row is kept beyond the retention, in milliseconds.
    pub margin_ms: i64,
    /// Number of starts that this process writes to a partition of a country's day before it moves
    /// on to the next layout.
    pub starts_per_partition: u64,
    /// Called for every retry of a request.
    pub on_retry: OnRetry,
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
            request_timeout: Duration::from_secs(12),
            query_deadline: Some(Duration::from_secs(12)),
            margin_ms: MARGIN,
            starts_per_partition: 50_000,
            on_retry: OnRetry::default(),
        }
    }
}

impl CassandraOptions {
    /// Checks what can be checked without a server, except the files.
    pub(crate) fn check(&self) -> Result<()> {
        let keyspace = &self.keyspace;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let (name, fault) = if self.nodes.is_empty() {
            ("list of nodes", "it is empty".to_owned())
        } else if let Some(node) = self.nodes.iter().find(|node| !is_address(node)) {
            ("list of nodes", format!("{node:?} is not an address such as cassandra-1:9042"))
        } else if keyspace.is_empty() || keyspace.len() > 48 || !keyspace.chars().all(fits) {
            ("keyspace", format!("{keyspace:?} is not 1 to 48 lower-case letters, digits and _"))
        } else if !(1..=MAX_IN_FLIGHT).contains(&self.max_in_flight) {
            let fault = format!(
                "{} is not between 1 and {MAX_IN_FLIGHT}; the driver breaks a connection with more \
                 than 1024 requests that were given up",
                self.max_in_flight
            );
            ("limit of requests in flight", fault)
        } else {
            return Ok(());
        };
        Err(CassandraOpenError::Option { name, fault })
    }

    /// The consistency level of every request.
    pub(crate) fn level(&self) -> Consistency {
        match self.datacenter {
            Some(_) => Consistency::LocalQuorum,
            None => Consistency::Quorum,
        }
    }

    /// Checks the files: the CA certificates.
    pub(crate) fn check_files(&self) -> Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls::context(tls).map(drop))
    }
}

/// Whether `node` is a host, or a host and a port.
fn is_address(node: &str) -> bool {
    let (host, port) = match node.rsplit_once(':') {
        // An IPv6 address without a port.
        Some(_) if node.parse::<Ipv6Addr>().is_ok() => (node, None),
        Some((host, port)) => (host, Some(port)),
        None => (node, None),
    };
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
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

    /// Whether fewer requests in flight may help.
    pub(super) fn is_overload(self) -> bool {
        matches!(self, Self::Timeout | Self::Overloaded)
    }

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
    fn an_address_is_a_host_with_or_without_a_port() {
        for node in ["cassandra", "cassandra-1:9042", "10.0.0.1:9042", "[::1]:9042", "::1"] {
            assert!(is_address(node), "{node}");
        }
        for node in ["", ":9042", "a:b", "a:99999", "a b:9042", "http://a"] {
            assert!(!is_address(node), "{node}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let options =
            CassandraOptions { password: Some(Secret::new("hunter2")), ..Default::default() };
        let printed = format!("{options:?}");
        assert!(printed.contains("[redacted]") && !printed.contains("hunter2"), "{printed}");
    }
}
