//! Sending requests: a bounded number at once, and again when a fault may pass.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use scylla::{
    client::session::Session,
    errors::ExecutionError,
    response::{PagingState, PagingStateResponse, query_result::QueryResult},
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::sync::Semaphore;

use super::{
    failure::{passing, store_error},
    insert::Insert,
    options::OnRetry,
    statements::Statements,
};
use crate::store::StoreError;

/// Before the first repetition; the wait doubles from there, with jitter.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often a request of one that works is repeated: three seconds of waits beside what the tries take.
const WORK_REPETITIONS: usize = 5;
/// How often another is: somebody waits for the answer.
const ANSWER_REPETITIONS: usize = 1;

/// The connection, and what bounds its use.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) session: Session,
    pub(super) statements: Statements,
    pub(super) permits: Semaphore,
    pub(super) on_retry: OnRetry,
}

/// For whom a request is, which tells how often it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// The consumer, which stalls until it succeeds, or a check of the whole store: both outwait a node that has just died.
    Working,
    /// Somebody who waits for the answer.
    Answering,
}

impl Requests {
    /// Adds `rows` in one request.
    pub(super) async fn insert(&self, rows: &[Insert]) -> Result<(), StoreError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        for row in rows {
            batch.append_statement(row.statement(&self.statements));
        }
        self.repeat(For::Working, || self.session.batch(&batch, rows)).await?;
        Ok(())
    }

    /// One page of what `statement` selects, and where the next begins.
    pub(super) async fn page(
        &self,
        whom: For,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        from: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), StoreError> {
        self.repeat(whom, || self.session.execute_single_page(statement, values, from.clone())).await
    }

    async fn repeat<T, F>(&self, whom: For, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, ExecutionError>>,
    {
        let times = match whom {
            For::Working => WORK_REPETITIONS,
            For::Answering => ANSWER_REPETITIONS,
        };
        let policy = ExponentialBuilder::new()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(times)
            .with_jitter();
        let attempt = || async {
            // Nothing ever closes the semaphore.
            let _permit = self.permits.acquire().await;
            request().await
        };
        let outcome = attempt.retry(policy).when(|error| passing(error).is_some()).notify(|error, wait| {
            if let Some(cause) = passing(error) {
                self.on_retry.tell(cause);
                tracing::debug!(%error, ?wait, "a request to Cassandra is tried again");
            }
        });
        outcome.await.map_err(|error| store_error(&error))
    }
}
