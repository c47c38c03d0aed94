//! Opens the store: once for a command, and for a service in the background until it succeeds.
//!
//! A service that starts during an outage waits for its end: its port is open, its liveness is
//! good, and every request fails with the cause.

use std::{
    mem,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    driver::{CassandraOpenError, CassandraOptions, Requests, open_error, open_requests},
    schema::warn_if_newer,
    trial::{self, Trial},
};
use crate::store::{Result, StoreError};

/// Pause after the first failed attempt. It doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Interval at which the same cause is logged again.
const REMINDER: Duration = Duration::from_secs(60);

/// The connection of a store, or why there is none yet.
#[derive(Debug)]
pub(super) struct Opening {
    requests: OnceLock<Requests>,
    /// `None` once the store is open.
    obstacle: watch::Sender<Option<StoreError>>,
}

impl Opening {
    /// Opens the store, or fails.
    pub(super) async fn open(options: &CassandraOptions) -> Result<Arc<Self>, CassandraOpenError> {
        let opening = Self::new(options);
        opening.finish(connect(options, &[]).await?);
        Ok(Arc::new(opening))
    }

    /// Opens the store in the background, unless it is dropped before that.
    pub(super) fn start(options: CassandraOptions, trials: &'static [Trial]) -> Arc<Self> {
        let opening = Arc::new(Self::new(&options));
        tokio::spawn(open_eventually(Arc::downgrade(&opening), options, trials));
        opening
    }

    /// Waits until the store is open.
    pub(super) async fn opened(&self) {
        // The sender lives as long as the store.
        self.obstacle.subscribe().wait_for(Option::is_none).await.ok();
    }

    /// The connection; an error with the cause if the store is not open.
    pub(super) fn requests(&self) -> Result<&Requests> {
        self.requests.get().ok_or_else(|| {
            let obstacle = self.obstacle.borrow().clone();
            obstacle.unwrap_or_else(|| StoreError::Unavailable("it has just opened".to_owned()))
        })
    }

    fn new(options: &CassandraOptions) -> Self {
        let connecting = format!("connecting to Cassandra at {}", options.nodes.join(", "));
        let obstacle = watch::Sender::new(Some(StoreError::Unavailable(connecting)));
        Self { requests: OnceLock::new(), obstacle }
    }

    fn finish(&self, requests: Requests) {
        self.requests.get_or_init(|| requests);
        self.obstacle.send_replace(None);
    }
}

async fn open_eventually(
    opening: Weak<Opening>,
    options: CassandraOptions,
    trials: &'static [Trial],
) {
    let mut pause = FIRST_PAUSE;
    let mut logged = None;
    loop {
        let attempt = connect(&options, trials).await;
        let Some(opening) = opening.upgrade() else { return };
        match attempt {
            Ok(requests) => {
                if logged.is_some() {
                    tracing::info!("Cassandra serves now; the store is open");
                }
                return opening.finish(requests);
            }
            Err(error) => {
                let kind = mem::discriminant(&error);
                if logged
                    .is_none_or(|(last, at): (_, Instant)| last != kind || at.elapsed() >= REMINDER)
                {
                    tracing::warn!(%error, "the store cannot be opened yet; trying again");
                    logged = Some((kind, Instant::now()));
                }
                opening.obstacle.send_replace(Some(error.into()));
            }
        }
        drop(opening);
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}

async fn connect(
    options: &CassandraOptions,
    trials: &[Trial],
) -> Result<Requests, CassandraOpenError> {
    let requests = open_requests(options).await?;
    let tried = trial::run(trials, &requests, options.margin_ms).await;
    tried.map_err(|error| open_error(options, &error))?;
    warn_if_newer(&requests.session, &options.keyspace).await;
    Ok(requests)
}

impl From<CassandraOpenError> for StoreError {
    fn from(error: CassandraOpenError) -> Self {
        match error {
            CassandraOpenError::Unreachable { .. } | CassandraOpenError::TooFewNodes { .. } => {
                Self::Unavailable(error.to_string())
            }
            CassandraOpenError::Option { .. }
            | CassandraOpenError::Login(_)
            | CassandraOpenError::Certificate(_)
            | CassandraOpenError::NoSchema { .. }
            | CassandraOpenError::NewerSchema { .. }
            | CassandraOpenError::Statement(_)
            | CassandraOpenError::Guardrails(_)
            | CassandraOpenError::Unauthorized(_)
            | CassandraOpenError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}
