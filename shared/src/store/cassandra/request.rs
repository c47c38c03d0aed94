//! Sending requests: a bounded number at once, and again when a fault may pass.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::{TryStreamExt, stream::FuturesUnordered};
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
use tokio::sync::{Mutex, MutexGuard, Semaphore};

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
    /// How many requests may be under way at once.
    pub(super) at_once: usize,
    pub(super) permits: Semaphore,
    /// Who has it begins requests, as one of a micro-batch's steps.
    pub(super) floor: Mutex<()>,
    pub(super) on_retry: OnRetry,
}

/// The work of one step of a micro-batch, no more under way at once than requests may be: what waits for its turn is not made
/// yet, and takes no memory.
///
/// A step begins when all of the one before it is begun. So one of two micro-batches asks while the other computes; with their
/// requests mixed, both would come to their computing at once, and the servers would have nothing to do.
pub(super) struct Turns<'a, F> {
    at_once: usize,
    under_way: FuturesUnordered<F>,
    /// Until all is begun.
    floor: MutexGuard<'a, ()>,
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
    /// For a step's work that takes requests, once the steps before it are begun.
    pub(super) async fn turns<F: Future>(&self) -> Turns<'_, F> {
        let floor = self.floor.lock().await;
        Turns { at_once: self.at_once, under_way: FuturesUnordered::new(), floor }
    }

    /// Adds `rows` in one request.
    pub(super) async fn insert(&self, rows: &[Insert<'_>]) -> Result<(), StoreError> {
        let statements = rows.iter().map(|row| row.statement(&self.statements).into()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        self.repeat(For::Working, || self.session.batch(&batch, rows)).await?;
        Ok(())
    }

    /// All that `statement` selects of a few sessions, for one that works. The server finds the sessions of several users one
    /// user after the other where it is asked for pages, and at once where it is not.
    pub(super) async fn whole(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<QueryResult, StoreError> {
        self.repeat(For::Working, || self.session.execute_unpaged(statement, values)).await
    }

    /// One page of what `statement` selects, and where the next begins.
    pub(super) async fn page(
        &self,
        whom: For,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        from: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), StoreError> {
        self.repeat(whom, || self.session.execute_single_page(statement, values, from.clone()))
            .await
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
        let outcome =
            attempt.retry(policy).when(|error| passing(error).is_some()).notify(|error, wait| {
                if let Some(cause) = passing(error) {
                    self.on_retry.tell(cause);
                    tracing::debug!(%error, ?wait, "a request to Cassandra is tried again");
                }
            });
        outcome.await.map_err(|error| store_error(&error))
    }
}

impl<T, F: Future<Output = Result<T, StoreError>>> Turns<'_, F> {
    /// Begins `work` as soon as there is room; answers what has ended to make it.
    pub(super) async fn begin(&mut self, work: F) -> Result<Option<T>, StoreError> {
        let ended = if self.under_way.len() < self.at_once {
            None
        } else {
            self.under_way.try_next().await?
        };
        self.under_way.push(work);
        Ok(ended)
    }

    /// Gives the floor to the next step, and waits for what is still under way.
    pub(super) async fn rest(self) -> Result<Vec<T>, StoreError> {
        drop(self.floor);
        self.under_way.try_collect().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn turns<F: Future>(floor: &Mutex<()>) -> Turns<'_, F> {
        Turns { at_once: 3, under_way: FuturesUnordered::new(), floor: floor.try_lock().unwrap() }
    }

    #[tokio::test]
    async fn no_more_is_begun_at_once_than_may_be() {
        let (under_way, most) = (Cell::new(0), Cell::new(0));
        let work = async |number| {
            under_way.set(under_way.get() + 1);
            most.set(most.get().max(under_way.get()));
            tokio::task::yield_now().await;
            under_way.set(under_way.get() - 1);
            Ok(number)
        };
        let floor = Mutex::default();
        let (mut turns, mut ended) = (turns(&floor), Vec::new());
        for number in 0..20 {
            ended.extend(turns.begin(work(number)).await.unwrap());
        }
        ended.extend(turns.rest().await.unwrap());
        ended.sort_unstable();
        assert_eq!((ended, most.get()), ((0..20).collect(), 3));
    }

    #[tokio::test]
    async fn a_step_begins_when_all_of_the_one_before_is_begun() {
        let (floor, done) = (Mutex::default(), Semaphore::new(0));
        let mut first = turns(&floor);
        let waiting = async || {
            let _done = done.acquire().await;
            Ok(())
        };
        first.begin(waiting()).await.unwrap();
        assert!(floor.try_lock().is_err(), "more of the first may come");
        let (outcome, ()) = tokio::join!(first.rest(), async {
            let mut second = turns(&floor);
            second.begin(waiting()).await.unwrap();
            done.close();
            second.rest().await.unwrap();
        });
        assert_eq!(outcome.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_fails_is_told_of_before_more_is_begun() {
        let begun = Cell::new(0);
        let work = async || {
            begun.set(begun.get() + 1);
            Err::<(), _>(StoreError::Unavailable("for a test".to_owned()))
        };
        let floor = Mutex::default();
        let mut turns = turns(&floor);
        let mut failed = 0;
        for _ in 0..4 {
            failed += usize::from(turns.begin(work()).await.is_err());
        }
        assert_eq!((failed, begun.get()), (1, 1));
    }
}
