//! The names of rejection codes, and the text of a rejection.

use std::fmt;

use super::{Rejection, RejectionCode};

/// The most characters of a client's value that a rejection repeats.
const SHOWN: usize = 48;

macro_rules! codes {
    ($($code:ident = $name:literal,)+) => {
        impl RejectionCode {
            /// Every code in the order of the specification.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code in replies, metric labels and the headers of dead letters.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $name),+
                }
            }
        }
    };
}

codes! {
    NotAnObject = "not_an_object", MissingUserId = "missing_user_id",
    MissingSessionId = "missing_session_id", MissingEvent = "missing_event",
    MissingTs = "missing_ts", InvalidUserId = "invalid_user_id",
    InvalidSessionId = "invalid_session_id", InvalidEvent = "invalid_event",
    InvalidTs = "invalid_ts", InvalidCountry = "invalid_country",
    ConflictingUserId = "conflicting_user_id", DuplicateKey = "duplicate_key",
    ForeignUser = "foreign_user", Future = "future",
    Expired = "expired", UnknownField = "unknown_field",
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

    pub(super) fn not_an_object(what: &str) -> Self {
        Self::new(RejectionCode::NotAnObject, format!("an event must be a JSON object: {what}"))
    }

    pub(super) fn unknown_field(name: &[u8]) -> Self {
        let name = shown(&String::from_utf8_lossy(name));
        let detail = format!(
            "unknown field `{name}`; an event has `user_id`, `session_id`, `event`, `ts` and \
             `country`"
        );
        Self::new(RejectionCode::UnknownField, detail)
    }

    /// The same rejection for line `number` of a body.
    pub(super) fn of_line(self, number: usize) -> Self {
        let detail = self.detail.replacen("an event must", &format!("line {number} must"), 1);
        Self { detail, ..self }
    }
}

/// Describes a syntax error in words for the client, without its place.
pub(super) fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ").map_or(&*text, |(what, _)| what) {
        "expected ident" | "expected value" => "unexpected character".to_owned(),
        what if what.starts_with("EOF") => "the text is incomplete".to_owned(),
        what => what.to_owned(),
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
