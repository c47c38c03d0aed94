//! Classifies failed requests: whether a retry can succeed, and which [`StoreError`] they become.

use std::fmt;

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

use super::options::RetryCause;
use crate::store::StoreError;

/// The cause of a passing fault; `None` when the same request would fail again.
pub(crate) fn retry_cause(error: &ExecutionError) -> Option<RetryCause> {
    match error {
        ExecutionError::RequestTimeout(_) => Some(RetryCause::Timeout),
        ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_)) => {
            Some(RetryCause::Connection)
        }
        ExecutionError::LastAttemptError(error)
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: error }) => {
            attempt_retry_cause(error)
        }
        _ => None,
    }
}

fn attempt_retry_cause(error: &RequestAttemptError) -> Option<RetryCause> {
    match error {
        RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::UnableToAllocStreamId => Some(RetryCause::Connection),
        RequestAttemptError::DbError(error, _) => match error {
            DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. } => Some(RetryCause::Timeout),
            DbError::Unavailable { .. } => Some(RetryCause::Unavailable),
            // Nodes also report this while they cannot read the permissions, which are in tables.
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

/// The error of a request that failed for good, or after its last retry.
pub(super) fn store_error(error: &ExecutionError) -> StoreError {
    if retry_cause(error).is_some() {
        return StoreError::Unavailable(error.to_string());
    }
    StoreError::Poisoned(match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Invalid,
            reason,
        )) => {
            format!(
                "the Cassandra schema does not match this version: {reason}; run `bookend setup`"
            )
        }
        other => other.to_string(),
    })
}

/// The error of a row that this program never writes.
pub(super) fn corrupt(table: &str, row: &(impl fmt::Display + ?Sized)) -> StoreError {
    StoreError::Corrupt(format!("{table}: {row}"))
}
