//! The rules for the ids of users and sessions.

use std::fmt;

use compact_str::CompactString;

use super::{Rules, SessionId, UserId};

/// The longest id, in bytes.
pub(super) const LONGEST: usize = 128;

/// What clients without an id send in its place, in any case.
const PLACEHOLDERS: [&str; 8] =
    ["null", "none", "nil", "nan", "undefined", "true", "false", "[object object]"];

const PLACEHOLDER: &str = "must not be a placeholder";

macro_rules! ids {
    ($($id:ident),+) => {$(
        impl $id {
            /// Returns `None` if `text` is empty, longer than 128 bytes, has a control character or
            /// is a placeholder.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                broken_rule(text).is_none().then(|| Self(CompactString::new(text)))
            }

            /// Returns the id if this or an earlier version accepted it: earlier versions knew
            /// fewer placeholders, and what they stored stays readable.
            #[must_use]
            pub fn stored(text: &str) -> Option<Self> {
                broken_stored_rule(text).is_none().then(|| Self(CompactString::new(text)))
            }

            pub(super) fn read(text: &str, rules: Rules) -> Option<Self> {
                match rules {
                    Rules::Sent => Self::new(text),
                    Rules::Accepted => Self::stored(text),
                }
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
    broken_form(text).or_else(|| is_placeholder(text).then_some(PLACEHOLDER))
}

/// The same for the ids that any version accepted: the first one knew these placeholders.
fn broken_stored_rule(text: &str) -> Option<&'static str> {
    let is_placeholder =
        || matches!(text, "null" | "undefined" | "[object Object]") || is_nil_uuid(text);
    broken_form(text).or_else(|| is_placeholder().then_some(PLACEHOLDER))
}

fn broken_form(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("must not be empty")
    } else if text.len() > LONGEST {
        Some("must have at most 128 bytes")
    } else if has_control(text) {
        Some("must have no control characters")
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

/// Whether `text` is what faulty clients send in place of an id, perhaps with blanks around it.
/// Accepted, it would merge the sessions of many users into one user.
fn is_placeholder(text: &str) -> bool {
    let bare = text.trim_matches(is_invisible);
    bare.is_empty()
        || PLACEHOLDERS.iter().any(|word| bare.eq_ignore_ascii_case(word))
        || is_nil_uuid(bare)
}

/// Whether a character leaves no mark: white space, and what Unicode calls default ignorable. Also
/// the blank of Braille.
fn is_invisible(letter: char) -> bool {
    if letter.is_ascii() {
        return letter == ' ';
    }
    letter.is_whitespace()
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
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
