//! Sends requests: bounded in number, and retried after passing faults.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use scylla::{
    client::session::Session,
    errors::ExecutionError,
    response::{
        PagingState, PagingStateResponse,
        query_result::{QueryResult, QueryRowsResult},
    },
    serialize::{batch::BatchValues, row::SerializeRow},
    statement::{
        batch::{Batch, BatchStatement, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use super::{
    failure::{retry_cause, store_error, words},
    limit::Limit,
    options::{OnRetry, RetryCause},
    reads::Reads,
    rows::rows,
    statements::Statements,
};
use crate::{
    store::{Pulse, Result, StoreError},
    telemetry::Repeats,
};

/// Delay before the first retry. It doubles with every further one, with jitter.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);
/// Retries of a background request: about three seconds of delays, besides the attempts.
const BACKGROUND_RETRIES: usize = 5;
/// How long a probe waits for a reply. Requests for `/readyz` usually have a timeout of 5 s.
const PROBE: Duration = Duration::from_secs(2);

/// The connection, and the limits of its use.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) session: Arc<Session>,
    pub(crate) statements: Statements,
    /// Maximum number of requests in flight.
    pub(super) max_in_flight: usize,
    /// Bounds the background requests in flight.
    pub(super) limit: Arc<Limit>,
    /// Bounds the readers' requests.
    pub(super) reads: Reads,
    /// Permit to issue requests, held by one step of a micro-batch at a time.
    pub(super) permit: Mutex<()>,
    pub(super) on_retry: OnRetry,
    /// An outage fails every request: not each is worth a line.
    pub(super) repeats: Repeats,
}

/// The requests of one step of a micro-batch: at most as many in flight as the limit. Later
/// requests are not created before there is room for them, so they take no memory.
///
/// A step begins when the step before it has issued all of its requests. Two micro-batches
/// therefore alternate: one issues its requests while the other computes. With their requests
/// mixed, both would compute at the same time, and the servers would be idle.
pub(crate) struct Step<'a, F> {
    max_in_flight: usize,
    /// How long the servers may work on a request.
    deadline: Duration,
    in_flight: FuturesUnordered<F>,
    /// Held until all requests are issued.
    permit: Option<MutexGuard<'a, ()>>,
}

type Page = (QueryResult, PagingStateResponse);
type PageRequest = BoxFuture<'static, Result<Page, ExecutionError>>;

/// The caller of a request, which determines its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The consumer, which stalls until the request succeeds, or a check of the whole store. Both
    /// wait until the failure of a node is detected.
    Background,
    /// A query of few rows whose client is waiting, or a command that reads what queries read.
    Point,
    /// The same for any number of rows.
    Range,
}

impl Requests {
    /// Begins a step, once the steps before it have issued their requests.
    pub(crate) async fn step<F: Future>(&self) -> Step<'_, F> {
        let permit = Some(self.permit.lock().await);
        let (max_in_flight, deadline) = (self.max_in_flight, self.limit.deadline());
        Step { max_in_flight, deadline, in_flight: FuturesUnordered::new(), permit }
    }

    /// Executes one statement per row in one unlogged batch.
    pub(crate) async fn write(
        &self,
        statements: Vec<BatchStatement>,
        rows: impl BatchValues,
    ) -> Result<()> {
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        self.background(|| self.session.batch(&batch, &rows)).await?;
        Ok(())
    }

    /// All rows that `statement` selects, for a background caller and few rows. Without paging, the
    /// server reads several partitions in parallel; with paging, one after the other.
    pub(crate) async fn unpaged(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<QueryRowsResult> {
        rows(self.background(|| self.session.execute_unpaged(statement, values)).await?)
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
        let request = self.page_request(statement, values, from)?;
        let (result, next) = match caller {
            Caller::Background => self.background(request).await?,
            Caller::Point | Caller::Range => {
                let attempt = || self.read(caller, request());
                self.retry(self.reads.retries, attempt)
                    .await
                    .map_err(|error| store_error(&error))?
            }
        };
        Ok((rows(result)?, next.into_paging_control_flow().continue_value()))
    }

    /// Reads one page in one attempt, to learn whether the store replies.
    pub(crate) async fn probe(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<()> {
        let request = self.page_request(statement, values, PagingState::start())?;
        match timeout(PROBE, self.read(Caller::Point, request())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(store_error(&error)),
            Err(_) => Err(StoreError::Unavailable(format!("no node replied within {PROBE:?}"))),
        }
    }

    /// A request for a page that does not borrow, so that it can run in a task of its own.
    fn page_request(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        from: PagingState,
    ) -> Result<impl Fn() -> PageRequest> {
        let bound = statement.clone().bind(values).map_err(|error| store_error(&error.into()))?;
        let (session, bound) = (Arc::clone(&self.session), Arc::new(bound));
        Ok(move || -> PageRequest {
            let (session, bound, from) = (Arc::clone(&session), Arc::clone(&bound), from.clone());
            Box::pin(async move { session.execute_bound_single_page(&bound, from).await })
        })
    }

    /// Whether a request has succeeded within the last `span`.
    pub(crate) fn succeeded_within(&self, span: Duration) -> bool {
        self.limit.succeeded_within(span)
    }

    /// The limit in force of the background requests in flight.
    pub(crate) fn in_flight_limit(&self) -> usize {
        self.limit.current()
    }

    /// Makes a reader's attempt.
    async fn read(&self, caller: Caller, request: PageRequest) -> Result<Page, ExecutionError> {
        let outcome = self.reads.attempt(caller == Caller::Range, request).await;
        if outcome.is_ok() {
            self.limit.record_success();
            Pulse::beat_of_task();
        }
        outcome
    }

    async fn background<T, F>(&self, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ExecutionError>>,
    {
        let attempt = || async {
            let slot = self.limit.slot().await;
            let outcome = request().await;
            match &outcome {
                Ok(_) => slot.succeeded(),
                Err(error) => slot.failed(retry_cause(error).is_overload()),
            }
            outcome
        };
        self.retry(BACKGROUND_RETRIES, attempt).await.map_err(|error| {
            if !passes(&error) {
                self.on_retry.call(RetryCause::Refused);
            }
            store_error(&error)
        })
    }

    async fn retry<T, F>(
        &self,
        retries: usize,
        attempt: impl FnMut() -> F,
    ) -> Result<T, ExecutionError>
    where
        F: Future<Output = Result<T, ExecutionError>>,
    {
        let policy = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_max_times(retries)
            .with_jitter();
        let outcome = attempt.retry(policy).when(passes).notify(|error, delay| {
            let cause = retry_cause(error);
            self.on_retry.call(cause);
            if let Some(suppressed) = self.repeats.due(cause.as_str()) {
                let error = words(error);
                tracing::warn!(
                    error,
                    ?delay,
                    suppressed,
                    "a request to Cassandra failed; retrying"
                );
            }
        });
        outcome.await
    }
}

/// Whether a retry may succeed. A refusal rarely passes within seconds, so it is reported at once;
/// the consumer retries.
fn passes(error: &ExecutionError) -> bool {
    retry_cause(error) != RetryCause::Refused
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

    /// Waits for the other requests in flight, at most until the deadline of their attempts. If
    /// they were dropped, they would keep their permits until then, and the next step would wait
    /// for those. Their retries are not waited for: the caller reports the error and repeats the
    /// step.
    async fn failed(&mut self, error: StoreError) -> StoreError {
        let others = async { while self.in_flight.next().await.is_some() {} };
        timeout(self.deadline, others).await.ok();
        self.in_flight.clear();
        error
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn step<F: Future>(permit: &Mutex<()>) -> Step<'_, F> {
        let permit = Some(permit.try_lock().unwrap());
        let deadline = Duration::from_secs(12);
        Step { max_in_flight: 3, deadline, in_flight: FuturesUnordered::new(), permit }
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
        let (permit, done) = (Mutex::default(), tokio::sync::Semaphore::new(0));
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

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_requests_that_do_not_end_are_waited_for_until_their_deadline() {
        let (permit, begun) = (Mutex::default(), tokio::time::Instant::now());
        let mut step = step(&permit);
        for fails in [false, false, true] {
            let work = async move {
                if fails {
                    return Err::<(), _>(StoreError::Unavailable("for a test".to_owned()));
                }
                tokio::time::sleep(Duration::from_secs(75)).await;
                Ok(())
            };
            step.issue(work).await.unwrap();
        }
        assert!(step.finish().await.is_err());
        assert_eq!(begun.elapsed(), Duration::from_secs(12));
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
