//! The event: what a client may send, what is refused and why, and how it is written on the log.
//!
//! Everything behind this module is valid by type: no other place looks at an event's JSON or repeats a limit on it.

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

pub use self::batch::{BatchError, BatchFormat, BatchShape, EventBatch};
use crate::timestamp::{RETENTION, Timestamp};

/// A user: 1–128 bytes of UTF-8, kept byte for byte, no control characters, no literal junk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserId(CompactString);

/// A session, unique within its user; the same limits as [`UserId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionId(CompactString);

/// A country as the events spell it, normalised: upper case, letters and digits alone, 1–16 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Country(CompactString);

/// One valid event of a session. Stored, it is a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEvent {
    /// The session began.
    Start {
        /// Whose session.
        user: UserId,
        /// Which session.
        session: SessionId,
        /// When it began.
        ts: Timestamp,
        /// Where it began.
        country: Country,
    },
    /// The session ended.
    End {
        /// Whose session.
        user: UserId,
        /// Which session.
        session: SessionId,
        /// When it ended.
        ts: Timestamp,
    },
}

/// Why an event was refused. A closed set: the same word in a reply, a metric's label and a dead letter's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each code is its own text; specification/ explains them to clients"
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
    Future,
    /// Older than the retention: discarded rather than rejected, for it is nobody's fault.
    Expired,
}

/// A refused event: the code, and a sentence for the client that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The closed reason.
    pub code: RejectionCode,
    /// What was wrong with this very event, lower-case, without a full stop.
    pub detail: String,
}

impl SessionEvent {
    /// Whose session this is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Start { user, .. } | Self::End { user, .. } => user,
        }
    }

    /// Which session this is of.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        match self {
            Self::Start { session, .. } | Self::End { session, .. } => session,
        }
    }

    /// When it happened.
    #[must_use]
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Start { ts, .. } | Self::End { ts, .. } => *ts,
        }
    }

    /// Decides whether the event's time is one that may be kept, seen from when its record came into the log.
    ///
    /// `future_tolerance_ms` is how far, in milliseconds, a client's clock may run ahead. Both bounds are still good.
    ///
    /// # Errors
    /// [`RejectionCode::Future`] when it is later than `append_time` and the tolerance, [`RejectionCode::Expired`] when it is
    /// older than [`RETENTION`].
    pub fn judge(
        &self,
        append_time: Timestamp,
        future_tolerance_ms: i64,
    ) -> Result<(), RejectionCode> {
        let age = append_time - self.ts();
        if age < future_tolerance_ms.saturating_neg() {
            Err(RejectionCode::Future)
        } else if age > RETENTION {
            Err(RejectionCode::Expired)
        } else {
            Ok(())
        }
    }
}
