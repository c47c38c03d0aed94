//! Readers' requests: bounded in number, and given up before the deadline of their query.

use std::{sync::Arc, thread, time::Duration};

use scylla::errors::ExecutionError;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::options::CassandraOptions;
use crate::store::task::Task;

/// Retries for a query, whose client is waiting.
const RETRIES: usize = 1;
/// Retries for a command, which waits until the failure of a node is detected.
const PATIENT_RETRIES: usize = 5;
/// The shortest timeout of an attempt for a query.
const SHORTEST: Duration = Duration::from_secs(1);

/// The number of range reads in flight for each processor. The processors of the nodes are not
/// known, but decoding the rows costs about as much as reading them.
const RANGES: usize = 4;

/// The limits of the readers' requests, which never wait for the background's. Point reads never
/// wait for range reads.
#[derive(Debug)]
pub(super) struct Reads {
    points: Arc<Semaphore>,
    ranges: Arc<Semaphore>,
    pub(super) retries: usize,
    /// Timeout of one attempt.
    timeout: Duration,
    /// How long the servers may work on a request.
    deadline: Duration,
}

impl Reads {
    pub(super) fn new(options: &CassandraOptions) -> Self {
        let deadline = options.request_timeout;
        let (retries, timeout) = match options.query_deadline {
            // A node that hangs leaves time for another one.
            Some(query) => (RETRIES, (query / 2).max(SHORTEST).min(deadline)),
            None => (PATIENT_RETRIES, deadline),
        };
        let ranges = RANGES * thread::available_parallelism().map_or(1, usize::from);
        let [points, ranges] = [options.max_in_flight, ranges.min(options.max_in_flight)]
            .map(|permits| Arc::new(Semaphore::new(permits)));
        Self { points, ranges, retries, timeout, deadline }
    }

    /// Makes one attempt in a task of its own. It ends and returns its permit also while its caller
    /// does not poll it, as a streamed reply whose client does not read. A caller that drops it
    /// gets the permit back at once: queries drop reads ahead that they need no more, most of which
    /// are answered.
    pub(super) async fn attempt<T: Send + 'static>(
        &self,
        is_range: bool,
        request: impl Future<Output = Result<T, ExecutionError>> + Send + 'static,
    ) -> Result<T, ExecutionError> {
        let permits = Arc::clone(if is_range { &self.ranges } else { &self.points });
        let limit = self.timeout;
        let rest = self.deadline.saturating_sub(limit);
        let attempt = async move {
            // The semaphore is never closed.
            let permit = permits.acquire_owned().await.ok();
            if let Ok(outcome) = timeout(limit, request).await {
                return outcome;
            }
            // The servers may still work on it.
            drop(tokio::spawn(async move {
                sleep(rest).await;
                drop(permit);
            }));
            Err(ExecutionError::RequestTimeout(limit))
        };
        Task::spawn(attempt).done().await
    }
}
