//! The rules for the ids of users and sessions.

use std::fmt;

use compact_str::CompactString;

use super::{SessionId, UserId};

/// The longest id, in bytes.
pub(super) const LONGEST: usize = 128;

macro_rules! ids {
    ($($id:ident),+) => {$(
        impl $id {
            /// Returns `None` if `text` is empty, longer than 128 bytes, has a control character or
            /// is a placeholder.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                broken_rule(text).is_none().then(|| Self(CompactString::new(text)))
            }

            /// The id, byte for byte as sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}

ids!(UserId, SessionId);

/// Returns the rule that `text` breaks, in words that follow the name of the field; `None` for an
/// id.
pub(super) fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("must not be empty")
    } else if text.len() > LONGEST {
        Some("must have at most 128 bytes")
    } else if has_control(text) {
        Some("must have no control characters")
    } else if is_placeholder(text) {
        Some("must not be a placeholder")
    } else {
        None
    }
}

/// Whether `text` has control characters of Unicode: C0, DEL or C1.
fn has_control(text: &str) -> bool {
    // Without an early exit, the compiler turns the loop into vector instructions.
    let all_print = text.bytes().fold(true, |all, byte| all & (b' '..=b'~').contains(&byte));
    !all_print && text.chars().any(char::is_control)
}

/// Whether `text` is what faulty clients send in place of an id. Accepted, it would merge the
/// sessions of many users into one user.
fn is_placeholder(text: &str) -> bool {
    matches!(text, "null" | "undefined" | "[object Object]") || is_nil_uuid(text)
}

/// Whether `text` is the nil UUID, with or without hyphens, in braces or as a URN.
fn is_nil_uuid(text: &str) -> bool {
    let bare = match text.split_at_checked("urn:uuid:".len()) {
        Some((scheme, bare)) if scheme.eq_ignore_ascii_case("urn:uuid:") => bare,
        _ => text,
    };
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare);
    matches!(bare, "00000000-0000-0000-0000-000000000000" | "00000000000000000000000000000000")
}
