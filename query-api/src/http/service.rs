//! The state that the routes of the query service share, and the permits that bound their work.

use std::sync::Arc;

use shared::{clock::Clock, store::Store};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{QueryMetrics, QueryOptions, error::QueryError};

/// The query service: answers from a store.
pub struct QueryService {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) options: QueryOptions,
    pub(super) metrics: Arc<QueryMetrics>,
    reads: Semaphore,
    streams: Arc<Semaphore>,
}

impl QueryService {
    /// A service that answers from `store`, by `clock`.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        metrics: Arc<QueryMetrics>,
        options: QueryOptions,
    ) -> Self {
        let reads = Semaphore::new(options.reads);
        let streams = Arc::new(Semaphore::new(options.streams));
        Self { store, clock, options, metrics, reads, streams }
    }

    /// Waits for a permit to read the store, at most until the deadline of the request.
    pub(super) async fn read_permit(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, QueryError> {
        match tokio::time::timeout_at(deadline, self.reads.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(QueryError::Crowded),
        }
    }

    /// Takes a permit to stream a reply, if one is free.
    pub(super) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_none_free| QueryError::Busy)
    }
}
