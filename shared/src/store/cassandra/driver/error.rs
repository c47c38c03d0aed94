//! Why the Cassandra store could not be opened or set up.

use scylla::errors::{
    ConnectionError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, RequestAttemptError,
};
use thiserror::Error;
use tokio_rustls::rustls;

/// The result of opening the store or setting it up.
pub(crate) type Result<T, E = CassandraOpenError> = std::result::Result<T, E>;

/// Why the Cassandra store could not be opened or set up.
#[derive(Debug, Error)]
pub enum CassandraOpenError {
    /// A setting has an invalid value.
    #[error("Cassandra: the {name} is invalid: {fault}")]
    Option {
        /// The setting.
        name: &'static str,
        /// Why its value is invalid.
        fault: String,
    },
    /// No node accepted a connection.
    #[error(
        "Cassandra cannot be reached at {nodes}: {cause}; check --cassandra-nodes and that a node is up"
    )]
    Unreachable {
        /// The addresses that were tried.
        nodes: String,
        /// The last failure.
        cause: String,
    },
    /// The server rejected the user name or password.
    #[error("Cassandra rejected the login: {0}; check the user name and password")]
    Login(String),
    /// The server's certificate, or the file of trusted certificates, is invalid.
    #[error("cannot verify the certificate of Cassandra: {0}; check --cassandra-ca-file")]
    Certificate(String),
    /// A table or column is missing.
    #[error(
        "keyspace {keyspace} does not have the tables of this version: {cause}; run `bookend setup`"
    )]
    NoSchema {
        /// The keyspace.
        keyspace: String,
        /// The server's message.
        cause: String,
    },
    /// A newer version of Bookend has changed the schema.
    #[error(
        "keyspace {keyspace} has schema version {recorded}, but this program knows versions up to \
         {known} only; run `bookend setup` of the newer release"
    )]
    NewerSchema {
        /// The keyspace.
        keyspace: String,
        /// The version recorded in the keyspace.
        recorded: i32,
        /// The newest version of this program.
        known: i32,
    },
    /// The text of the schema has a statement that is not safe to repeat.
    #[error("the schema has an unsupported statement: {0}")]
    Statement(String),
    /// Too few nodes are up for the replication factor of the keyspace.
    #[error(
        "keyspace {keyspace}: a quorum needs {required} live replicas but only {alive} is up; start \
         more nodes or lower the replication factor, with ALTER KEYSPACE if the keyspace exists"
    )]
    TooFewNodes {
        /// The keyspace.
        keyspace: String,
        /// Number of replicas in a quorum.
        required: i32,
        /// Number of live replicas.
        alive: i32,
    },
    /// Settings of the nodes are in the way.
    #[error("the Cassandra nodes refuse what Bookend must do: {0}")]
    Guardrails(String),
    /// The user lacks a permission.
    #[error("the Cassandra user lacks a permission: {0}; grant it")]
    Unauthorized(String),
    /// The server failed a request for another reason.
    #[error("Cassandra failed a request: {0}")]
    Refused(String),
}

impl CassandraOpenError {
    /// The error of a request that was denied for a missing permission; `None` for other failures.
    pub(crate) fn unauthorized(error: &ExecutionError) -> Option<Self> {
        match error {
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Unauthorized,
                reason,
            )) => Some(Self::Unauthorized(reason.clone())),
            _ => None,
        }
    }

    /// The error of a node that was reached and requires another certificate or login.
    pub(crate) fn rejection(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::IoError(error) => {
                let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
                Some(Self::Certificate(match cause {
                    rustls::Error::InvalidMessage(_) => {
                        "the server does not speak TLS on this port; use its TLS port, or turn TLS off"
                            .to_owned()
                    }
                    other => format!("{other}; check the CA file and the server name"),
                }))
            }
            ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
                ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, reason) => {
                    Some(Self::Login(reason.clone()))
                }
                ConnectionSetupRequestErrorKind::MissingAuthentication => {
                    Some(Self::Login("the server requires one, but none is set".to_owned()))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
