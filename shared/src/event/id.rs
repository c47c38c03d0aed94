//! Which texts name a user or a session.

use std::fmt;

use compact_str::CompactString;

use super::{SessionId, UserId};

/// The longest id, in bytes.
const LONGEST: usize = 128;

impl UserId {
    /// `None` when `text` is empty, longer than 128 bytes, holds a control character or is literal junk.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        fault(text).is_none().then(|| Self(CompactString::new(text)))
    }

    /// The id, byte for byte as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SessionId {
    /// `None` when `text` is empty, longer than 128 bytes, holds a control character or is literal junk.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        fault(text).is_none().then(|| Self(CompactString::new(text)))
    }

    /// The id, byte for byte as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why `text` can't be an id, in words that follow the field's name.
pub(super) fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.len() > LONGEST {
        Some("is longer than 128 bytes")
    } else if has_control(text) {
        Some("holds a control character")
    } else if is_junk(text) {
        Some("is a placeholder, not an id")
    } else {
        None
    }
}

/// Unicode's control characters: C0, DEL and C1.
fn has_control(text: &str) -> bool {
    // One look at every byte without a way out is what the compiler turns into vector instructions.
    let all_print = text.bytes().fold(true, |all, byte| all & (b' '..=b'~').contains(&byte));
    !all_print && text.chars().any(char::is_control)
}

/// What careless clients send in place of an id. Were it let in, all of their sessions would become one user's.
fn is_junk(text: &str) -> bool {
    matches!(text, "null" | "undefined" | "[object Object]") || is_nil_uuid(text)
}

/// The nil UUID: with hyphens or without, also in braces or as a URN.
fn is_nil_uuid(text: &str) -> bool {
    let bare = match text.split_at_checked("urn:uuid:".len()) {
        Some((scheme, bare)) if scheme.eq_ignore_ascii_case("urn:uuid:") => bare,
        _ => text,
    };
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare);
    matches!(bare, "00000000-0000-0000-0000-000000000000" | "00000000000000000000000000000000")
}
