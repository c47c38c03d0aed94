//! Opens connections, and maps connection failures to errors that say what to do.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use scylla::{
    client::{
        PoolSize, execution_profile::ExecutionProfile, session::Session,
        session_builder::SessionBuilder,
    },
    cluster::Node,
    errors::{
        ConnectionPoolError, DbError, ExecutionError, MetadataError, NewSessionError, PrepareError,
        RequestAttemptError,
    },
    policies::{load_balancing::DefaultPolicy, retry::FallthroughRetryPolicy},
    response::PagingState,
};
use tokio::sync::Mutex;

use super::{
    error::{CassandraOpenError, Result},
    failure::{retry_cause, words},
    guardrails,
    limit::Limit,
    options::{CassandraOptions, RetryCause},
    reads::Reads,
    request::Requests,
    rows::paged,
    statements::Statements,
    tls,
};
use crate::telemetry::Repeats;

/// Connections per node. A node spends more on further connections than they gain.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN;

/// Interval of the requests that show whether a connection is alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a node may take to reply to one. A node that hangs delays an opening by as much,
/// because the driver prepares statements on all nodes. Not shorter than the timeout of a request:
/// a node that replies slowly still serves.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// Interval of the checks whether all nodes agree on the schema.
const SCHEMA_AGREEMENT_INTERVAL: Duration = Duration::from_millis(20);

/// Connects and prepares every statement.
pub(crate) async fn open_requests(options: &CassandraOptions) -> Result<Requests> {
    let session = open_session(options).await?;
    let statements = Statements::prepare(&session, &options.keyspace).await;
    let statements = statements.map_err(|error| prepare_error(options, error))?;
    // Preparing needs neither a permission nor a quorum, so one read checks for them.
    let first = paged(&statements.countries, 1);
    let read = session.execute_single_page(&first, ("",), PagingState::start()).await;
    read.map_err(|error| open_error(options, &error))?;
    Ok(Requests {
        statements,
        session: session.into(),
        max_in_flight: options.max_in_flight,
        limit: Limit::new(options.max_in_flight, options.request_timeout),
        reads: Reads::new(options),
        permit: Mutex::default(),
        on_retry: options.on_retry.clone(),
        repeats: Repeats::default(),
    })
}

/// Connects to the cluster, whether or not it has the tables.
pub(crate) async fn open_session(options: &CassandraOptions) -> Result<Session> {
    options.check()?;
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &options.datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
    }
    let profile = ExecutionProfile::builder()
        .consistency(options.level())
        .load_balancing_policy(balancing.build())
        // The driver would retry at once; `Requests` retries with a delay.
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .request_timeout(Some(options.request_timeout))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .pool_size(PoolSize::PerHost(CONNECTIONS))
        .keepalive_interval(KEEPALIVE_INTERVAL)
        .keepalive_timeout(KEEPALIVE_TIMEOUT)
        .schema_agreement_interval(SCHEMA_AGREEMENT_INTERVAL)
        .keyspaces_to_fetch([&options.keyspace]);
    if let Some(username) = &options.username {
        let password = options.password.as_ref().map_or("", |password| password.reveal());
        builder = builder.user(username, password);
    }
    if let Some(tls) = &options.tls {
        builder = builder.tls_context(Some(tls::context(tls)?));
    }
    let session = builder.build().await.map_err(|error| session_error(options, &error))?;
    if let Some(datacenter) = &options.datacenter {
        check_datacenter(datacenter, session.get_cluster_state().get_nodes_info())?;
    }
    Ok(session)
}

/// Checks that a node is in `datacenter`. Otherwise requests would neither succeed nor fail.
fn check_datacenter(datacenter: &str, nodes: &[Arc<Node>]) -> Result<()> {
    let known: BTreeSet<_> = nodes.iter().filter_map(|node| node.datacenter.as_deref()).collect();
    if known.contains(datacenter) {
        return Ok(());
    }
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    let fault = format!("no node is in {datacenter:?}; the cluster has {known}");
    Err(CassandraOpenError::Option { name: "data centre", fault })
}

fn session_error(options: &CassandraOptions, error: &NewSessionError) -> CassandraOpenError {
    if let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
        ConnectionPoolError::Broken { last_connection_error },
    )) = error
    {
        return CassandraOpenError::rejection(last_connection_error)
            .unwrap_or_else(|| unreachable(options, last_connection_error.to_string()));
    }
    unreachable(options, error.to_string())
}

/// Why a request failed while the store was opened or set up.
pub(crate) fn open_error(options: &CassandraOptions, error: &ExecutionError) -> CassandraOpenError {
    if let Some(denied) = CassandraOpenError::unauthorized(error) {
        return denied;
    }
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Unavailable { required, alive, .. },
            _,
        )) => CassandraOpenError::TooFewNodes {
            keyspace: options.keyspace.clone(),
            required: *required,
            alive: *alive,
        },
        other => match retry_cause(other) {
            RetryCause::Timeout
            | RetryCause::Unavailable
            | RetryCause::Overloaded
            | RetryCause::Connection => unreachable(options, other.to_string()),
            RetryCause::Failure | RetryCause::Unauthorized | RetryCause::Refused => {
                CassandraOpenError::Refused(words(other))
            }
        },
    }
}

fn unreachable(options: &CassandraOptions, cause: String) -> CassandraOpenError {
    CassandraOpenError::Unreachable { nodes: options.nodes.join(", "), cause }
}

fn prepare_error(options: &CassandraOptions, error: PrepareError) -> CassandraOpenError {
    let PrepareError::AllAttemptsFailed {
        first_attempt: RequestAttemptError::DbError(cause, reason),
    } = error
    else {
        return unreachable(options, error.to_string());
    };
    // A node may refuse a statement for a guardrail before it is executed.
    if let Some(advice) = guardrails::advice(&reason) {
        return CassandraOpenError::Guardrails(format!("{reason}; {advice}"));
    }
    match cause {
        DbError::Invalid => {
            CassandraOpenError::NoSchema { keyspace: options.keyspace.clone(), cause: reason }
        }
        other => CassandraOpenError::Refused(format!("{other}: {reason}")),
    }
}
