//! Opening the connection, and telling apart why it could not be opened.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use scylla::{
    client::{
        PoolSize, execution_profile::ExecutionProfile, session::Session,
        session_builder::SessionBuilder,
    },
    cluster::Node,
    errors::{
        ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError,
        ExecutionError, MetadataError, NewSessionError, PrepareError, RequestAttemptError,
    },
    policies::{load_balancing::DefaultPolicy, retry::FallthroughRetryPolicy},
    response::PagingState,
    statement::Consistency,
};
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::rustls;

use super::{CassandraOptions, request::Requests, statements::Statements, tls};

/// One connection a node: more cost a node more than they bring.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN;

/// How long the nodes are left alone between two looks whether all of them have a new table.
const SCHEMA_LOOK: Duration = Duration::from_millis(20);

/// Why the Cassandra store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// An option cannot be right.
    #[error("the {name} of Cassandra cannot be used: {fault}")]
    Option {
        /// Which.
        name: &'static str,
        /// Why.
        fault: String,
    },
    /// No node answers.
    #[error("Cassandra cannot be reached at {nodes}: {cause}")]
    Unreachable {
        /// Where it was looked for.
        nodes: String,
        /// What happened last.
        cause: String,
    },
    /// The server does not take the user name and password.
    #[error("Cassandra refuses the login: {0}")]
    Login(String),
    /// The server's certificate, or the file of authorities, is not what it should be.
    #[error("the certificate of Cassandra is refused: {0}")]
    Certificate(String),
    /// The tables are not there, or other ones.
    #[error(
        "the keyspace {keyspace} does not hold the tables of this version: {cause}; run `bookend setup`"
    )]
    NoSchema {
        /// Where they were looked for.
        keyspace: String,
        /// What the server says.
        cause: String,
    },
    /// The keyspace has more copies than nodes are there.
    #[error(
        "the keyspace {keyspace} has so many copies that a quorum of them takes {required} nodes, and {alive} can be \
         asked; start more nodes, or change its replication"
    )]
    TooFewNodes {
        /// Whose rows are copied.
        keyspace: String,
        /// How many nodes have to answer.
        required: i32,
        /// How many can.
        alive: i32,
    },
    /// The user may not do this.
    #[error("the user lacks a right in Cassandra: {0}")]
    Unauthorized(String),
    /// The server refuses for another reason.
    #[error("Cassandra refuses: {0}")]
    Refused(String),
}

/// A connection with everything prepared.
pub(super) async fn requests(options: &CassandraOptions) -> Result<Requests, OpenError> {
    let session = session(options).await?;
    let statements = Statements::prepare(&session, &options.keyspace).await;
    let statements = statements.map_err(|error| unprepared(options, error))?;
    // To prepare takes no right. Later on the same answer may pass by itself, and is waited for.
    let small = session.execute_single_page(&statements.countries, &(), PagingState::start()).await;
    if let Some(refused) = small.err().as_ref().and_then(lacking_right) {
        return Err(refused);
    }
    Ok(Requests {
        statements,
        session,
        at_once: options.max_in_flight,
        permits: Semaphore::new(options.max_in_flight),
        floor: Mutex::default(),
        on_retry: options.on_retry.clone(),
    })
}

/// A connection to nodes in which the tables may or may not be.
pub(super) async fn session(options: &CassandraOptions) -> Result<Session, OpenError> {
    check(options)?;
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    let mut consistency = Consistency::Quorum;
    if let Some(datacenter) = &options.datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
        consistency = Consistency::LocalQuorum;
    }
    let profile = ExecutionProfile::builder()
        .consistency(consistency)
        .load_balancing_policy(balancing.build())
        // Requests are repeated here, with a pause between; the driver would repeat at once.
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .request_timeout(Some(options.request_timeout))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .pool_size(PoolSize::PerHost(CONNECTIONS))
        .schema_agreement_interval(SCHEMA_LOOK)
        .keyspaces_to_fetch([&options.keyspace]);
    if let Some(username) = &options.username {
        let password = options.password.as_ref().map_or("", |password| password.reveal());
        builder = builder.user(username, password);
    }
    if let Some(tls) = &options.tls {
        builder = builder.tls_context(Some(tls::context(tls)?));
    }
    let session = builder.build().await.map_err(|error| unreachable(options, &error))?;
    if let Some(datacenter) = &options.datacenter {
        known(datacenter, session.get_cluster_state().get_nodes_info())?;
    }
    Ok(session)
}

/// A data centre in which no node is would never answer, and never refuse either.
fn known(datacenter: &str, nodes: &[Arc<Node>]) -> Result<(), OpenError> {
    let named: BTreeSet<_> = nodes.iter().filter_map(|node| node.datacenter.as_deref()).collect();
    if named.contains(datacenter) {
        return Ok(());
    }
    let named = named.into_iter().collect::<Vec<_>>().join(", ");
    let fault = format!("no node is in {datacenter:?}; there is {named}");
    Err(OpenError::Option { name: "data centre", fault })
}

fn check(options: &CassandraOptions) -> Result<(), OpenError> {
    let keyspace = &options.keyspace;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fault = if options.nodes.is_empty() {
        ("nodes", "there are none".to_owned())
    } else if keyspace.is_empty() || keyspace.len() > 48 || !keyspace.chars().all(fits) {
        ("keyspace", format!("{keyspace:?} is not 1 to 48 lower-case letters, digits and _"))
    } else if !(1..=Semaphore::MAX_PERMITS).contains(&options.max_in_flight) {
        ("limit of requests under way", options.max_in_flight.to_string())
    } else {
        return Ok(());
    };
    Err(OpenError::Option { name: fault.0, fault: fault.1 })
}

fn unreachable(options: &CassandraOptions, error: &NewSessionError) -> OpenError {
    if let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
        ConnectionPoolError::Broken { last_connection_error },
    )) = error
        && let Some(refused) = refused(last_connection_error)
    {
        return refused;
    }
    OpenError::Unreachable { nodes: options.nodes.join(", "), cause: error.to_string() }
}

/// Whether a node was reached that wants another certificate or login.
fn refused(error: &ConnectionError) -> Option<OpenError> {
    match error {
        ConnectionError::IoError(error) => {
            let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
            Some(match cause {
                rustls::Error::InvalidMessage(_) => {
                    OpenError::Certificate("the server does not speak TLS on this port".to_owned())
                }
                other => OpenError::Certificate(other.to_string()),
            })
        }
        ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, reason) => {
                Some(OpenError::Login(reason.clone()))
            }
            ConnectionSetupRequestErrorKind::MissingAuthentication => Some(OpenError::Login(
                "it asks for a user name and password, and none is given".to_owned(),
            )),
            _ => None,
        },
        _ => None,
    }
}

fn unprepared(options: &CassandraOptions, error: PrepareError) -> OpenError {
    let PrepareError::AllAttemptsFailed {
        first_attempt: RequestAttemptError::DbError(cause, reason),
    } = error
    else {
        return OpenError::Unreachable {
            nodes: options.nodes.join(", "),
            cause: error.to_string(),
        };
    };
    match cause {
        DbError::Invalid => {
            OpenError::NoSchema { keyspace: options.keyspace.clone(), cause: reason }
        }
        other => OpenError::Refused(format!("{other}: {reason}")),
    }
}

/// Whether a request was refused for a right that the user does not have.
pub(super) fn lacking_right(error: &ExecutionError) -> Option<OpenError> {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Unauthorized,
            reason,
        )) => Some(OpenError::Unauthorized(reason.clone())),
        _ => None,
    }
}
