//! What a failed request means: whether to try it again, and what the store says of it.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

use super::options::RetryCause;
use crate::store::StoreError;

/// Why `error` may pass by itself; `None` when the same request would fail again.
pub(super) fn passing(error: &ExecutionError) -> Option<RetryCause> {
    match error {
        ExecutionError::RequestTimeout(_) => Some(RetryCause::Timeout),
        ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_)) => {
            Some(RetryCause::Connection)
        }
        ExecutionError::LastAttemptError(error)
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: error }) => {
            passing_attempt(error)
        }
        _ => None,
    }
}

fn passing_attempt(error: &RequestAttemptError) -> Option<RetryCause> {
    match error {
        RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::UnableToAllocStreamId => Some(RetryCause::Connection),
        RequestAttemptError::DbError(error, _) => match error {
            DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. } => Some(RetryCause::Timeout),
            DbError::Unavailable { .. } => Some(RetryCause::Unavailable),
            // Also what the nodes say while they cannot look up who may do what: it is kept in tables like any other.
            DbError::Unauthorized => Some(RetryCause::Unauthorized),
            DbError::Overloaded | DbError::RateLimitReached { .. } => Some(RetryCause::Overloaded),
            DbError::IsBootstrapping
            | DbError::ReadFailure { .. }
            | DbError::WriteFailure { .. }
            | DbError::ServerError => Some(RetryCause::Failure),
            _ => None,
        },
        _ => None,
    }
}

/// What the store says of a request that failed for good, or too often.
pub(super) fn store_error(error: &ExecutionError) -> StoreError {
    if passing(error).is_some() {
        return StoreError::Unavailable(error.to_string());
    }
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Invalid,
            reason,
        )) => StoreError::Poisoned(format!(
            "Cassandra takes its tables to be other ones: {reason}; run `bookend setup`, then start again"
        )),
        other => StoreError::Poisoned(other.to_string()),
    }
}
