//! Sends requests: bounded in number, and retried after passing faults.

use std::{fmt, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures_util::{StreamExt, stream::FuturesUnordered};
use scylla::{
    client::session::Session,
    deserialize::row::DeserializeRow,
    errors::ExecutionError,
    response::{
        PagingState,
        query_result::{QueryResult, QueryRowsResult},
    },
    serialize::{batch::BatchValues, row::SerializeRow},
    statement::{
        batch::{Batch, BatchStatement, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::{
    sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::{
    failure::{corrupt, retry_cause, store_error},
    limit::Limit,
    options::{OnRetry, RetryCause},
    statements::Statements,
};
use crate::store::{Result, StoreError};

/// Delay before the first retry. It doubles with every further one, with jitter.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);
/// Retries of a background request: about three seconds of delays, besides the attempts.
const BACKGROUND_RETRIES: usize = 5;
/// Retries of a request whose reader is waiting.
const READER_RETRIES: usize = 1;

/// The connection, and the limits of its use.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) session: Session,
    pub(crate) statements: Statements,
    /// Maximum number of requests in flight.
    pub(super) max_in_flight: usize,
    /// Bounds the background requests in flight.
    pub(super) limit: Arc<Limit>,
    /// Bounds the readers' requests in flight, which never wait for the background's.
    pub(super) reads: Arc<Semaphore>,
    /// How long the servers may work on a request.
    pub(super) request_timeout: Duration,
    /// Timeout of one attempt of a reader's request.
    pub(super) reader_timeout: Duration,
    /// Permit to issue requests, held by one step of a micro-batch at a time.
    pub(super) permit: Mutex<()>,
    pub(super) on_retry: OnRetry,
}

/// The requests of one step of a micro-batch: at most as many in flight as the limit. Later
/// requests are not created before there is room for them, so they take no memory.
///
/// A step begins when the step before it has issued all of its requests. Two micro-batches
/// therefore alternate: one issues its requests while the other computes. With their requests
/// mixed, both would compute at the same time, and the servers would be idle.
pub(crate) struct Step<'a, F> {
    max_in_flight: usize,
    in_flight: FuturesUnordered<F>,
    /// Held until all requests are issued.
    permit: Option<MutexGuard<'a, ()>>,
}

/// The caller of a request, which determines the number of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The consumer, which stalls until the request succeeds, or a check of the whole store. Both
    /// wait until the failure of a node is detected.
    Background,
    /// A query whose client is waiting.
    Reader,
}

impl Requests {
    /// Begins a step, once the steps before it have issued their requests.
    pub(crate) async fn step<F: Future>(&self) -> Step<'_, F> {
        let permit = Some(self.permit.lock().await);
        Step { max_in_flight: self.max_in_flight, in_flight: FuturesUnordered::new(), permit }
    }

    /// Executes one statement per row in one unlogged batch.
    pub(crate) async fn write(
        &self,
        statements: Vec<BatchStatement>,
        rows: impl BatchValues,
    ) -> Result<()> {
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        self.retry(Caller::Background, || self.session.batch(&batch, &rows)).await?;
        Ok(())
    }

    /// All rows that `statement` selects, for a background caller and few rows. Without paging, the
    /// server reads several partitions in parallel; with paging, one after the other.
    pub(crate) async fn unpaged(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<QueryRowsResult> {
        let request = || self.session.execute_unpaged(statement, values);
        rows(self.retry(Caller::Background, request).await?)
    }

    /// One page of the rows that `statement` selects, and the start of the next page if there is
    /// one.
    pub(crate) async fn page(
        &self,
        caller: Caller,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        from: PagingState,
    ) -> Result<(QueryRowsResult, Option<PagingState>)> {
        let request = || self.session.execute_single_page(statement, values, from.clone());
        let (result, next) = self.retry(caller, request).await?;
        Ok((rows(result)?, next.into_paging_control_flow().continue_value()))
    }

    /// Whether a request has succeeded within the last `span`.
    pub(crate) fn succeeded_within(&self, span: Duration) -> bool {
        self.limit.succeeded_within(span)
    }

    /// Keeps the permit of a reader's request that was given up, because the servers may still work
    /// on it.
    fn hold(&self, permit: Option<OwnedSemaphorePermit>) {
        let rest = self.request_timeout.saturating_sub(self.reader_timeout);
        drop(tokio::spawn(async move {
            sleep(rest).await;
            drop(permit);
        }));
    }

    async fn retry<T, F>(&self, caller: Caller, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ExecutionError>>,
    {
        let retries = match caller {
            Caller::Background => BACKGROUND_RETRIES,
            Caller::Reader => READER_RETRIES,
        };
        let policy = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_max_times(retries)
            .with_jitter();
        let attempt = || async {
            match caller {
                Caller::Background => {
                    let slot = self.limit.slot().await;
                    let outcome = request().await;
                    match &outcome {
                        Ok(_) => slot.succeeded(),
                        Err(error) => slot.failed(retry_cause(error).is_overload()),
                    }
                    outcome
                }
                Caller::Reader => {
                    // Returns at once if the reader drops the request: queries drop those that they
                    // need no more, most of which are answered. The semaphore is never closed.
                    let permit = Arc::clone(&self.reads).acquire_owned().await.ok();
                    let Ok(outcome) = timeout(self.reader_timeout, request()).await else {
                        self.hold(permit);
                        return Err(ExecutionError::RequestTimeout(self.reader_timeout));
                    };
                    if outcome.is_ok() {
                        self.limit.record_success();
                    }
                    outcome
                }
            }
        };
        // A refusal rarely passes within seconds, so it is reported at once; the consumer retries.
        let passes = |error: &ExecutionError| retry_cause(error) != RetryCause::Refused;
        let outcome = attempt.retry(policy).when(passes).notify(|error, delay| {
            self.on_retry.call(retry_cause(error));
            tracing::debug!(%error, ?delay, "a request to Cassandra failed; retrying");
        });
        outcome.await.map_err(|error| {
            if caller == Caller::Background && !passes(&error) {
                self.on_retry.call(RetryCause::Refused);
            }
            store_error(&error)
        })
    }
}

impl<T, F: Future<Output = Result<T>>> Step<'_, F> {
    /// Issues `request` as soon as there is room. Returns the result of the request that completed
    /// to make room.
    pub(crate) async fn issue(&mut self, request: F) -> Result<Option<T>> {
        let completed = if self.in_flight.len() < self.max_in_flight {
            Ok(None)
        } else {
            self.in_flight.next().await.transpose()
        };
        let completed = match completed {
            Ok(completed) => completed,
            Err(error) => return Err(self.failed(error).await),
        };
        self.in_flight.push(request);
        Ok(completed)
    }

    /// Releases the permit to the next step, and waits for the requests in flight.
    pub(crate) async fn finish(mut self) -> Result<Vec<T>> {
        drop(self.permit.take());
        let mut completed = Vec::with_capacity(self.in_flight.len());
        while let Some(outcome) = self.in_flight.next().await {
            match outcome {
                Ok(result) => completed.push(result),
                Err(error) => return Err(self.failed(error).await),
            }
        }
        Ok(completed)
    }

    /// Waits for the other requests in flight. If they were dropped, they would keep their permits
    /// until their deadlines, and the next attempt would wait for those.
    async fn failed(&mut self, error: StoreError) -> StoreError {
        while self.in_flight.next().await.is_some() {}
        error
    }
}

fn rows(result: QueryResult) -> Result<QueryRowsResult> {
    result.into_rows_result().map_err(|error| corrupt("a reply", &error))
}

/// Calls `read` for every row of `table` in a result. A row for which it returns `None` is corrupt:
/// this program never writes it.
pub(crate) fn read_rows<'r, R: DeserializeRow<'r, 'r> + fmt::Debug>(
    table: &str,
    rows: &'r QueryRowsResult,
    mut read: impl FnMut(&R) -> Option<()>,
) -> Result<()> {
    for row in rows.rows::<R>().map_err(|error| corrupt(table, &error))? {
        let row = row.map_err(|error| corrupt(table, &error))?;
        read(&row).ok_or_else(|| corrupt(table, &format_args!("{row:?}")))?;
    }
    Ok(())
}

/// `statement` with a page size for about `rows` rows: few requests, and little unneeded data.
pub(crate) fn paged(statement: &PreparedStatement, rows: usize) -> PreparedStatement {
    let mut statement = statement.clone();
    statement.set_page_size(i32::try_from(rows.clamp(32, 2_000)).unwrap_or(2_000));
    statement
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn step<F: Future>(permit: &Mutex<()>) -> Step<'_, F> {
        let permit = Some(permit.try_lock().unwrap());
        Step { max_in_flight: 3, in_flight: FuturesUnordered::new(), permit }
    }

    #[tokio::test]
    async fn no_more_is_issued_at_once_than_may_be() {
        let (in_flight, most) = (Cell::new(0), Cell::new(0));
        let work = async |number| {
            in_flight.set(in_flight.get() + 1);
            most.set(most.get().max(in_flight.get()));
            tokio::task::yield_now().await;
            in_flight.set(in_flight.get() - 1);
            Ok(number)
        };
        let permit = Mutex::default();
        let (mut step, mut completed) = (step(&permit), Vec::new());
        for number in 0..20 {
            completed.extend(step.issue(work(number)).await.unwrap());
        }
        completed.extend(step.finish().await.unwrap());
        completed.sort_unstable();
        assert_eq!((completed, most.get()), ((0..20).collect(), 3));
    }

    #[tokio::test]
    async fn a_step_begins_when_all_of_the_one_before_is_issued() {
        let (permit, done) = (Mutex::default(), Semaphore::new(0));
        let mut first = step(&permit);
        let waiting = async || {
            let _done = done.acquire().await;
            Ok(())
        };
        first.issue(waiting()).await.unwrap();
        assert!(permit.try_lock().is_err(), "the first step may issue more requests");
        let (outcome, ()) = tokio::join!(first.finish(), async {
            let mut second = step(&permit);
            second.issue(waiting()).await.unwrap();
            done.close();
            second.finish().await.unwrap();
        });
        assert_eq!(outcome.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn after_a_failure_what_is_in_flight_ends_and_no_more_is_issued() {
        let issued = Cell::new(0);
        let work = async || {
            issued.set(issued.get() + 1);
            Err::<(), _>(StoreError::Unavailable("for a test".to_owned()))
        };
        let permit = Mutex::default();
        let mut step = step(&permit);
        let mut failed = 0;
        for _ in 0..4 {
            failed += usize::from(step.issue(work()).await.is_err());
        }
        assert_eq!((failed, issued.get()), (1, 3), "the fourth is not issued");
    }
}
