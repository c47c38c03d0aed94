//! Classifies failed requests. No failure is final: the same request may succeed later, also one
//! that a node refuses. The table decides the words, the metric and the readiness only.

use std::fmt;

use scylla::{
    errors::{
        ConnectionPoolError, DbError, ExecutionError, MetadataError, PrepareError,
        RequestAttemptError,
    },
    frame::protocol_features::ProtocolFeatures,
};

use super::{error::CassandraOpenError, guardrails, options::RetryCause};
use crate::store::StoreError;

/// The errors of the native protocol, versions 3 to 5: the code, the cause that it counts as, and
/// what an operator can do about a refusal. Any other code counts as [`RetryCause::Failure`].
///
/// One code may stand for several conditions. 0x2200 is a missing table, a guardrail, or a full
/// disk, so that not even a refusal proves that the next attempt is refused too.
const ERRORS: [(i32, RetryCause, &str); 20] = [
    (0x0000, RetryCause::Failure, ""),      // server error
    (0x000A, RetryCause::Failure, ""),      // protocol error
    (0x0100, RetryCause::Refused, LOGIN),   // bad credentials
    (0x1000, RetryCause::Unavailable, ""),  // unavailable
    (0x1001, RetryCause::Overloaded, ""),   // overloaded
    (0x1002, RetryCause::Failure, ""),      // is bootstrapping
    (0x1003, RetryCause::Failure, ""),      // truncate error
    (0x1100, RetryCause::Timeout, ""),      // write timeout
    (0x1200, RetryCause::Timeout, ""),      // read timeout
    (0x1300, RetryCause::Failure, ""),      // read failure
    (0x1400, RetryCause::Failure, ""),      // function failure
    (0x1500, RetryCause::Failure, ""),      // write failure
    (0x1600, RetryCause::Failure, ""),      // CDC write failure
    (0x1700, RetryCause::Failure, ""),      // unknown outcome of a conditional write
    (0x2000, RetryCause::Refused, VERSION), // syntax error
    // Nodes also report this while they cannot read the permissions, which are in tables.
    (0x2100, RetryCause::Unauthorized, GRANT), // unauthorized
    (0x2200, RetryCause::Refused, SCHEMA),     // invalid
    (0x2300, RetryCause::Refused, VERSION),    // configuration error
    (0x2400, RetryCause::Refused, SCHEMA),     // already exists
    (0x2500, RetryCause::Failure, ""),         // unprepared
];

const LOGIN: &str = "check the user name and password";
const GRANT: &str = "grant the permission to the Cassandra user";
const VERSION: &str = "check that the version of the Cassandra nodes is supported";
const SCHEMA: &str = "run `bookend setup`";

/// The cause of a failed request, one of a closed set.
pub(crate) fn retry_cause(error: &ExecutionError) -> RetryCause {
    match error {
        ExecutionError::RequestTimeout(_) => RetryCause::Timeout,
        ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_))
        | ExecutionError::MetadataError(MetadataError::ConnectionPoolError(_)) => {
            RetryCause::Connection
        }
        ExecutionError::LastAttemptError(error)
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: error }) => {
            attempt_cause(error)
        }
        _ => RetryCause::Failure,
    }
}

fn attempt_cause(error: &RequestAttemptError) -> RetryCause {
    match error {
        RequestAttemptError::BrokenConnectionError(_) => RetryCause::Connection,
        // All streams of the connection wait for replies.
        RequestAttemptError::UnableToAllocStreamId => RetryCause::Overloaded,
        RequestAttemptError::DbError(error, _) => described(error).0,
        _ => RetryCause::Failure,
    }
}

/// The cause and the advice for an error of a node.
fn described(error: &DbError) -> (RetryCause, &'static str) {
    // Its code differs from one cluster to the next.
    if matches!(error, DbError::RateLimitReached { .. }) {
        return (RetryCause::Overloaded, "");
    }
    let code = error.code(&ProtocolFeatures::default());
    let known = ERRORS.iter().find(|(known, ..)| *known == code);
    known.map_or((RetryCause::Failure, ""), |(_, cause, advice)| (*cause, advice))
}

/// The error of a request that a node refused, or after its last retry.
pub(super) fn store_error(error: &ExecutionError) -> StoreError {
    match retry_cause(error) {
        RetryCause::Refused | RetryCause::Unauthorized => StoreError::Refused(words(error)),
        _ => StoreError::Unavailable(words(error)),
    }
}

/// The failure in the words of the node, and what to do about it.
pub(super) fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, reason))
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(error, reason),
        }) => refusal(error, reason).unwrap_or_else(|| error.to_string()),
        ExecutionError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        }) => CassandraOpenError::rejection(last_connection_error)
            .map_or_else(|| error.to_string(), |rejected| rejected.to_string()),
        other => other.to_string(),
    }
}

/// The words for a refusal; `None` for another error.
fn refusal(error: &DbError, reason: &str) -> Option<String> {
    let (_, advice) = described(error);
    let advice = guardrails::advice(reason).unwrap_or_else(|| advice.to_owned());
    (!advice.is_empty()).then(|| format!("{reason}; {advice}"))
}

/// The error of a row that this program never writes.
pub(super) fn corrupt(table: &str, row: &(impl fmt::Display + ?Sized)) -> StoreError {
    StoreError::Corrupt(format!("{table}: {row}"))
}

#[cfg(test)]
mod tests {
    use scylla::{
        errors::{OperationType, WriteType},
        statement::Consistency,
    };

    use super::*;

    fn cause(error: DbError) -> RetryCause {
        let error = RequestAttemptError::DbError(error, "the reason".to_owned());
        retry_cause(&ExecutionError::LastAttemptError(error))
    }

    #[test]
    fn every_code_of_the_protocol_is_in_the_table_once() {
        let codes: Vec<_> = ERRORS.iter().map(|(code, ..)| *code).collect();
        // The codes of the specifications of the native protocol, v3 to v5, section 9.
        let protocol = [
            0x0000, 0x000A, 0x0100, 0x1000, 0x1001, 0x1002, 0x1003, 0x1100, 0x1200, 0x1300, 0x1400,
            0x1500, 0x1600, 0x1700, 0x2000, 0x2100, 0x2200, 0x2300, 0x2400, 0x2500,
        ];
        assert_eq!(codes, protocol);
        for (code, cause, advice) in ERRORS {
            let operator = matches!(cause, RetryCause::Refused | RetryCause::Unauthorized);
            assert_eq!(operator, !advice.is_empty(), "{code:#06x}");
        }
    }

    #[test]
    fn an_error_of_the_driver_has_the_cause_of_its_code() {
        let (consistency, write_type) = (Consistency::Quorum, WriteType::UnloggedBatch);
        let unavailable = DbError::Unavailable { consistency, required: 2, alive: 1 };
        let write = DbError::WriteTimeout { consistency, received: 1, required: 2, write_type };
        let limited = DbError::RateLimitReached {
            op_type: OperationType::Write,
            rejected_by_coordinator: true,
        };
        for (error, expected) in [
            (unavailable, RetryCause::Unavailable),
            (write, RetryCause::Timeout),
            (limited, RetryCause::Overloaded),
            (DbError::Overloaded, RetryCause::Overloaded),
            (DbError::Unauthorized, RetryCause::Unauthorized),
            (DbError::Invalid, RetryCause::Refused),
            (DbError::SyntaxError, RetryCause::Refused),
            (DbError::ServerError, RetryCause::Failure),
            (DbError::Other(0x1700), RetryCause::Failure),
            (DbError::Other(0x7777), RetryCause::Failure),
        ] {
            assert_eq!(cause(error.clone()), expected, "{error}");
        }
        let crowded = RequestAttemptError::UnableToAllocStreamId;
        assert!(retry_cause(&ExecutionError::LastAttemptError(crowded)).is_overload());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let said = |error: DbError, reason: &str| {
            let error = RequestAttemptError::DbError(error, reason.to_owned());
            store_error(&ExecutionError::LastAttemptError(error)).to_string()
        };
        assert_eq!(
            said(DbError::Invalid, "unconfigured table facts"),
            "the store refuses requests: unconfigured table facts; run `bookend setup`"
        );
        let guardrail = said(DbError::Invalid, "Guardrail user_timestamps violated: not allowed");
        assert!(guardrail.contains("; user_timestamps_enabled in cassandra.yaml"), "{guardrail}");
        assert!(said(DbError::Overloaded, "").starts_with("the store is unavailable: "));
    }
}
