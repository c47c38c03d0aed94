//! The codes of errors. The OpenAPI document lists them, so each is a variant here and no error
//! invents a word of its own.

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($code:ident = $name:literal,)+) => {
        /// The kind of an error: a word that never changes, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the message of each error is its documentation")]
        pub enum ErrorCode {
            $($code,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code in replies.
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
    NotFound = "not_found", MethodNotAllowed = "method_not_allowed",
    InvalidQuery = "invalid_query", UnknownParameter = "unknown_parameter",
    RepeatedParameter = "repeated_parameter", Unavailable = "unavailable",
    SlowBody = "slow_body", BodyTooLarge = "body_too_large",
    // Of the gate.
    NoKey = "no_key", MalformedKey = "malformed_key", UnknownKey = "unknown_key",
    ExpiredKey = "expired_key", MissingRight = "missing_right", ForeignUser = "foreign_user",
    ForeignOrigin = "foreign_origin", ForeignHost = "foreign_host",
    // Of the endpoint.
    InvalidId = "invalid_id", InvalidStrict = "invalid_strict", UnsupportedMediaType = "unsupported_media_type",
    UnsupportedEncoding = "unsupported_encoding", DamagedBody = "damaged_body",
    NotJson = "not_json", NotABatch = "not_a_batch", EmptyBatch = "empty_batch",
    TooManyEvents = "too_many_events", NothingUsable = "nothing_usable",
    OverQuota = "over_quota", LogRefused = "log_refused",
    // Of queries.
    MissingWindow = "missing_window", InvalidWindow = "invalid_window",
    InvalidLimit = "invalid_limit", InvalidTop = "invalid_top", InvalidStep = "invalid_step",
    InvalidStatus = "invalid_status", InvalidCursor = "invalid_cursor",
    MissingUserId = "missing_user_id", InvalidUserId = "invalid_user_id",
    ConflictingUserId = "conflicting_user_id", MissingSessionId = "missing_session_id",
    InvalidSessionId = "invalid_session_id", InvalidBody = "invalid_body",
    UnknownSession = "unknown_session", Busy = "busy", Damaged = "damaged",
    Unwritable = "unwritable",
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
