//! The names of rejection codes, and the text of a rejection.

use std::fmt;

use super::{Rejection, RejectionCode};

/// The most characters of a client's value that a rejection repeats.
const SHOWN: usize = 48;

impl RejectionCode {
    /// Every code in the order of the specification.
    pub const ALL: &[Self] = &[
        Self::NotAnObject,
        Self::MissingUserId,
        Self::MissingSessionId,
        Self::MissingEvent,
        Self::MissingTs,
        Self::InvalidUserId,
        Self::InvalidSessionId,
        Self::InvalidEvent,
        Self::InvalidTs,
        Self::InvalidCountry,
        Self::ConflictingUserId,
        Self::DuplicateKey,
        Self::Future,
        Self::Expired,
    ];

    /// The code in replies, metric labels and the headers of dead letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::MissingUserId => "missing_user_id",
            Self::MissingSessionId => "missing_session_id",
            Self::MissingEvent => "missing_event",
            Self::MissingTs => "missing_ts",
            Self::InvalidUserId => "invalid_user_id",
            Self::InvalidSessionId => "invalid_session_id",
            Self::InvalidEvent => "invalid_event",
            Self::InvalidTs => "invalid_ts",
            Self::InvalidCountry => "invalid_country",
            Self::ConflictingUserId => "conflicting_user_id",
            Self::DuplicateKey => "duplicate_key",
            Self::Future => "future",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Rejection {
    /// A rejection. `detail` says what was expected: lower case, without a full stop.
    #[must_use]
    pub fn new(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(super) fn not_an_object(what: impl fmt::Display) -> Self {
        Self::new(RejectionCode::NotAnObject, format!("an event must be a JSON object: {what}"))
    }
}

/// Returns the beginning of a client's value with unprintable characters escaped.
pub(super) fn shown(text: &str) -> String {
    let mut escaped = text.chars().flat_map(char::escape_debug);
    let mut shown: String = escaped.by_ref().take(SHOWN).collect();
    if escaped.next().is_some() {
        shown.push('…');
    }
    shown
}
