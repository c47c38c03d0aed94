//! The events of one request, in any of the four shapes of a body.
//!
//! One element that is no event spoils nothing but itself; what spoils a body is a [`BatchError`]. Reading stops at the first
//! event over the limit, so that what a body costs in memory is bounded by the limit and by the body's own size.

use super::{Rejection, SessionEvent, body};

/// How the body is written, which is its content type's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFormat {
    /// One JSON text.
    Json,
    /// One JSON text a line (`application/x-ndjson`).
    Lines,
}

/// What a batch looked like. The reply's form hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchShape {
    /// `[event…]`
    Array,
    /// `{"events":[event…]}`
    Events,
    /// `{"rows":[event…]}`
    Rows,
    /// An event a line.
    Lines,
}

/// The events of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// What the batch looked like.
    pub shape: BatchShape,
    /// Every event sent, in the order sent; its position is the `index` of the reply. Blank lines are none.
    pub events: Vec<Result<SessionEvent, Rejection>>,
}

/// Why a body holds no batch: always the sender's fault, and worded for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The body is not one JSON text in UTF-8.
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    /// It is JSON, but not of a shape that holds events.
    #[error("{0}")]
    NotABatch(String),
    /// There are no events in it. A body without a byte is this too.
    #[error("the batch holds no events")]
    Empty,
    /// It holds more events than one request may. The events over the limit were not read.
    #[error("a batch may hold at most {limit} events")]
    TooManyEvents {
        /// The most events that are taken.
        limit: usize,
    },
}

impl EventBatch {
    /// Reads a body, inflated already, of at most `max_events` events.
    ///
    /// A byte order mark before it is skipped. Of several faults of a body the first in reading order is named.
    ///
    /// # Errors
    /// A [`BatchError`] when the body as a whole can't be used.
    pub fn decode(body: &[u8], format: BatchFormat, max_events: usize) -> Result<Self, BatchError> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let batch = match format {
            BatchFormat::Json => body::decode(body, max_events)?,
            BatchFormat::Lines => decode_lines(body, max_events)?,
        };
        if batch.events.is_empty() { Err(BatchError::Empty) } else { Ok(batch) }
    }
}

fn decode_lines(body: &[u8], max_events: usize) -> Result<EventBatch, BatchError> {
    let mut events = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        rest = rest.get(line.len() + 1..).unwrap_or_default();
        if body::is_blank(line) {
            continue;
        }
        if events.len() == max_events {
            return Err(BatchError::TooManyEvents { limit: max_events });
        }
        events.push(SessionEvent::parse(line));
    }
    Ok(EventBatch { shape: BatchShape::Lines, events })
}
