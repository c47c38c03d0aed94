//! The event: what clients may send, why an event is rejected, and how it is stored in the log.
//!
//! A [`SessionEvent`] is always valid. No other module reads the JSON of an event or repeats one of
//! its limits.

mod batch;
mod body;
mod country;
mod element;
mod fields;
mod id;
mod key;
mod rejection;
mod write;

use compact_str::CompactString;
use serde::Serialize;

pub use self::batch::{BatchError, BatchFormat, BatchShape, EventBatch, Sender, UserKey};
use crate::timestamp::{RETENTION, Timestamp};

/// The id of a user: 1–128 bytes of UTF-8, unchanged, without control characters, not a
/// placeholder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserId(CompactString);

/// The id of a session, unique within its user; the same limits as [`UserId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionId(CompactString);

/// A normalised country: upper case, only letters and digits, 1–16 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Country(CompactString);

/// One valid event of a session. A stored event is a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEvent {
    /// The start of the session.
    Start {
        /// The user of the session.
        user: UserId,
        /// The session.
        session: SessionId,
        /// The time of the start.
        ts: Timestamp,
        /// The country of the session.
        country: Country,
    },
    /// The end of the session.
    End {
        /// The user of the session.
        user: UserId,
        /// The session.
        session: SessionId,
        /// The time of the end.
        ts: Timestamp,
    },
}

/// By which rules the fields of an event are read.
#[derive(Clone, Copy, Debug)]
enum Rules {
    /// Those for clients and direct producers.
    Sent,
    /// Those of any version: an endpoint accepted the event, so it must not be rejected or changed.
    Accepted,
}

/// Why an event was rejected. A closed set; replies, metric labels and the headers of dead letters
/// use the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names are the documentation; specification/ explains them to clients"
)]
pub enum RejectionCode {
    NotAnObject,
    MissingUserId,
    MissingSessionId,
    MissingEvent,
    MissingTs,
    InvalidUserId,
    InvalidSessionId,
    InvalidEvent,
    InvalidTs,
    InvalidCountry,
    ConflictingUserId,
    DuplicateKey,
    ForeignUser,
    Future,
    /// Older than the retention. The event is discarded, not rejected: it is not the client's
    /// fault.
    Expired,
    /// Only for senders that ask for it.
    UnknownField,
}

/// Why an event is rejected: a code, and a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub code: RejectionCode,
    /// What was expected of this event: lower case, without a full stop.
    pub detail: String,
}

impl SessionEvent {
    /// The user of the session.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Start { user, .. } | Self::End { user, .. } => user,
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        match self {
            Self::Start { session, .. } | Self::End { session, .. } => session,
        }
    }

    /// The time of the event.
    #[must_use]
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Start { ts, .. } | Self::End { ts, .. } => *ts,
        }
    }

    /// Compares the time of the event with the append time of its record, and with the latest time
    /// that it may have. Both limits are inclusive.
    ///
    /// # Errors
    /// [`RejectionCode::Future`] if the event is later than `latest`, and
    /// [`RejectionCode::Expired`] if it is older than [`RETENTION`] at `append_time`.
    pub fn judge(&self, append_time: Timestamp, latest: Timestamp) -> Result<(), RejectionCode> {
        if self.ts() > latest {
            Err(RejectionCode::Future)
        } else if append_time - self.ts() > RETENTION {
            Err(RejectionCode::Expired)
        } else {
            Ok(())
        }
    }
}
