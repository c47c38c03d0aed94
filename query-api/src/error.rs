//! The errors of queries, in words for the client. `http` maps each one to a status.

use std::time::Duration;

use shared::{
    config::Bytes,
    http::{Denial, ErrorCode, ParamsError},
    store::StoreError,
};
use thiserror::Error;

/// The rule for an id, after the name of the id.
const ID: &str = "must be 1 to 128 bytes of UTF-8 without control characters, and not a \
                  placeholder such as `null`";

/// The reason why a query has no result.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Denied(#[from] Denial),
    #[error("the time range is missing; give {0}")]
    MissingWindow(&'static str),
    #[error("{0}")]
    InvalidWindow(&'static str),
    #[error("`{name}` must be above 0 and at most {most}, not {given:?}; fractions are allowed")]
    InvalidLength { name: &'static str, most: i64, given: String },
    #[error("`{0}` must be a whole number from 1 to {1}")]
    InvalidNumber(&'static str, usize),
    #[error("`step` must be `hour` or `day`, or `minute` for a window of at most 2 days")]
    InvalidStep,
    #[error("`status` must be `complete`, `open` or `orphan`")]
    InvalidStatus,
    #[error(
        "`cursor` is not valid for this query; repeat the other parameters of the query that \
         returned it (`limit` may change), or omit `cursor` to start from the first page"
    )]
    InvalidCursor,
    #[error("`user_id` is missing; give {0}")]
    MissingUserId(&'static str),
    #[error("`user_id` {ID}")]
    InvalidUserId,
    #[error("`user_id` and `player_id` are names of the same parameter; give only one of them")]
    ConflictingUserId,
    #[error("`session_id` is missing; give session_id=5f933591")]
    MissingSessionId,
    #[error("`session_id` {ID}")]
    InvalidSessionId,
    #[error("the body must be a JSON object such as {{\"user_id\": \"d6313e1f\"}}")]
    InvalidBody,
    #[error("the body is larger than {}; send nothing but the user", Bytes(*.0 as u64))]
    BodyTooLarge(usize),
    #[error("the body did not arrive in time; send the request again")]
    SlowBody,
    #[error(
        "no events of this session are stored; a session is kept for one year, counted from its \
         start"
    )]
    UnknownSession,
    #[error(
        "too many streamed replies are in flight; try again in 1 s, or read page by page at \
         /v1/session-starts"
    )]
    Busy,
    #[error("too many queries are in flight; try again in 1 s")]
    Crowded,
    #[error(
        "the store did not answer within {0:?}; try again in 1 s, and if that fails again, ask for \
         less"
    )]
    Slow(Duration),
    /// The cause is for the log, not for the client.
    #[error("the store cannot be read now; try again in 1 s")]
    Unavailable(StoreError),
    /// The cause is for the log, not for the client.
    #[error("the store contains a row that cannot be read; the operator must repair the store")]
    Damaged(StoreError),
    /// The cause is for the log, not for the client.
    #[error("the reply could not be written as JSON; report this error to the operator")]
    Unwritable(serde_json::Error),
}

impl QueryError {
    /// The code in the reply, one of a closed set.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Params(error) => error.code(),
            Self::Denied(denial) => denial.code(),
            Self::MissingWindow(_) => ErrorCode::MissingWindow,
            Self::InvalidWindow(_) | Self::InvalidLength { .. } => ErrorCode::InvalidWindow,
            Self::InvalidNumber(name, _) => match *name {
                "top" => ErrorCode::InvalidTop,
                _ => ErrorCode::InvalidLimit,
            },
            Self::InvalidStep => ErrorCode::InvalidStep,
            Self::InvalidStatus => ErrorCode::InvalidStatus,
            Self::InvalidCursor => ErrorCode::InvalidCursor,
            Self::MissingUserId(_) => ErrorCode::MissingUserId,
            Self::InvalidUserId => ErrorCode::InvalidUserId,
            Self::ConflictingUserId => ErrorCode::ConflictingUserId,
            Self::MissingSessionId => ErrorCode::MissingSessionId,
            Self::InvalidSessionId => ErrorCode::InvalidSessionId,
            Self::InvalidBody => ErrorCode::InvalidBody,
            Self::BodyTooLarge(_) => ErrorCode::BodyTooLarge,
            Self::SlowBody => ErrorCode::SlowBody,
            Self::UnknownSession => ErrorCode::UnknownSession,
            Self::Busy | Self::Crowded => ErrorCode::Busy,
            Self::Unavailable(_) | Self::Slow(_) => ErrorCode::Unavailable,
            Self::Damaged(_) => ErrorCode::Damaged,
            Self::Unwritable(_) => ErrorCode::Unwritable,
        }
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Poisoned(_) => {
                Self::Unavailable(error)
            }
            StoreError::Corrupt(_) => Self::Damaged(error),
        }
    }
}
