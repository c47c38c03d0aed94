//! The state that the routes of the query service share, and the permits that bound their work.

use std::sync::Arc;

use shared::{clock::Clock, store::Store};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::reply::Answer;
use crate::{QueryMetrics, QueryOptions, error::QueryError};

/// The query service: answers from a store.
pub struct QueryService {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) options: QueryOptions,
    pub(super) metrics: Arc<QueryMetrics>,
    points: Semaphore,
    ranges: Semaphore,
    streams: Arc<Semaphore>,
}

/// How many rows a query may read. Point queries never wait for range queries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// One session, or one page of a user's complete sessions.
    Point,
    /// Any number.
    Range,
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
        let [points, ranges] = [options.points, options.ranges].map(Semaphore::new);
        let streams = Arc::new(Semaphore::new(options.streams));
        Self { store, clock, options, metrics, points, ranges, streams }
    }

    /// Waits for a permit of this `reach`, then for `answer`, together at most for the deadline of
    /// a query. Call it when the client has sent the whole request.
    pub(super) async fn in_time(
        &self,
        reach: Reach,
        answer: impl Future<Output = Result<Answer, QueryError>>,
    ) -> Result<Answer, QueryError> {
        let limit = self.options.deadline;
        let deadline = Instant::now() + limit;
        let permits = match reach {
            Reach::Point => &self.points,
            Reach::Range => &self.ranges,
        };
        let permit = timeout_at(deadline, permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(QueryError::Crowded) };
        timeout_at(deadline, answer).await.unwrap_or(Err(QueryError::Slow(limit)))
    }

    /// Takes a permit to stream a reply, if one is free.
    pub(super) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_none_free| QueryError::Busy)
    }
}
