//! The events of one request, and the errors of a body that holds none.

use super::{Rejection, SessionEvent};

/// The format of a body, as its content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFormat {
    /// One JSON text.
    Json,
    /// One JSON text per line (`application/x-ndjson`).
    Lines,
}

/// Which key of an event names its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserKey {
    /// `user_id` or `player_id`; different values are an error.
    #[default]
    Either,
    /// Only `user_id`; `player_id` is an unknown key.
    UserId,
    /// Only `player_id`; `user_id` is an unknown key.
    PlayerId,
}

/// How the events of one sender name their users, and whose events they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The key of the user.
    pub user_key: UserKey,
    /// The bytes with which the id of each user begins, if the sender is not for all users.
    pub users_prefix: Option<&'a str>,
    /// Whether to find unknown fields, which are ignored otherwise.
    pub strict: bool,
}

/// The shape of a batch, which decides the form of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchShape {
    /// `[event…]`
    Array,
    /// `{"events":[event…]}`
    Events,
    /// `{"rows":[event…]}`
    Rows,
    /// One event per line.
    Lines,
}

/// The events of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// The shape of the batch.
    pub shape: BatchShape,
    /// Every event in the order sent; its position is the `index` in the reply. Blank lines do not
    /// count.
    pub events: Vec<Result<SessionEvent, Rejection>>,
    /// Of a strict sender: the positions of the events with an unknown field in ascending order,
    /// each with the rejection for the first such field. Any other fault of an event comes first.
    pub unknown_fields: Vec<(usize, Rejection)>,
}

/// Why a body is not a batch. Always the client's fault; the text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The body is not one JSON text in UTF-8.
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    /// The body is JSON, but none of the shapes of a batch.
    #[error("{0}")]
    NotABatch(String),
    /// The batch has no events, or the body is empty.
    #[error("the batch is empty; send at least one event")]
    Empty,
    /// The batch has more events than a request may have. Events over the limit are not read.
    #[error("a batch must have at most {limit} events; send more in several requests")]
    TooManyEvents {
        /// The most events in a request.
        limit: usize,
    },
}
