//! Why a question got no answer, worded for the client. Which status that is, `http` says.

use shared::store::StoreError;
use thiserror::Error;

/// What an id may be: it follows the name of the faulty one.
const ID: &str = "must be 1 to 128 bytes of UTF-8 without control characters, and not a placeholder such as `null`";

/// Why a question got no answer.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    #[error("the query string must be UTF-8, percent-encoded where it is not plain")]
    InvalidQuery,
    #[error("`{name}` is not a parameter of this call; it takes {known}")]
    UnknownParameter { name: String, known: String },
    #[error("`{0}` may be given once only")]
    RepeatedParameter(&'static str),
    #[error("say how far to look back: {0}")]
    MissingWindow(&'static str),
    #[error("{0}")]
    InvalidWindow(&'static str),
    #[error("`limit` must be a whole number from 1 to {0}")]
    InvalidLimit(usize),
    #[error("`step` must be `hour` or `day`, or `minute` in a window of at most 2 days")]
    InvalidStep,
    #[error("`status` must be `complete`, `open` or `orphan`")]
    InvalidStatus,
    #[error(
        "`cursor` must be the `next` of a reply to the same question: give the other parameters again as they were \
         (`limit` may change), or leave the cursor out to begin anew"
    )]
    InvalidCursor,
    #[error("say whose sessions are meant: {0}")]
    MissingUserId(&'static str),
    #[error("`user_id` {ID}")]
    InvalidUserId,
    #[error("`player_id` is another name of `user_id`: give one of them")]
    ConflictingUserId,
    #[error("`session_id` {ID}")]
    InvalidSessionId,
    #[error("the body must be a JSON object such as {{\"user_id\": \"d6313e1f\"}}")]
    InvalidBody,
    #[error("the body may be {0} bytes long at most")]
    BodyTooLarge(usize),
    #[error("the body did not come in time")]
    SlowBody,
    #[error(
        "nothing is known of this session of this user; a session is answered for a year, counted from its start"
    )]
    UnknownSession,
    #[error(
        "too many uncut replies are under way; try again soon, or ask page by page at /v1/session-starts"
    )]
    Busy,
    #[error("too many questions are under way; try again soon")]
    Crowded,
    /// The cause is for the log, not for the client.
    #[error("the store cannot answer now; try again soon")]
    Unavailable(StoreError),
    /// The cause is for the log, not for the client.
    #[error("the store holds a row that cannot be read; the operator has to repair it")]
    Damaged(StoreError),
}

impl QueryError {
    /// The closed word for this in a reply.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::InvalidQuery => "invalid_query",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::RepeatedParameter(_) => "repeated_parameter",
            Self::MissingWindow(_) => "missing_window",
            Self::InvalidWindow(_) => "invalid_window",
            Self::InvalidLimit(_) => "invalid_limit",
            Self::InvalidStep => "invalid_step",
            Self::InvalidStatus => "invalid_status",
            Self::InvalidCursor => "invalid_cursor",
            Self::MissingUserId(_) => "missing_user_id",
            Self::InvalidUserId => "invalid_user_id",
            Self::ConflictingUserId => "conflicting_user_id",
            Self::InvalidSessionId => "invalid_session_id",
            Self::InvalidBody => "invalid_body",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::SlowBody => "slow_body",
            Self::UnknownSession => "unknown_session",
            Self::Busy | Self::Crowded => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Damaged(_) => "damaged",
        }
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Poisoned(_) => Self::Unavailable(error),
            StoreError::Corrupt(_) => Self::Damaged(error),
        }
    }
}
