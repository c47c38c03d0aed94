//! Normalises countries, which are free text in real data, to one spelling.

use std::fmt;

use compact_str::CompactString;
use unicode_normalization::UnicodeNormalization;

use super::{Country, Rules};

/// The longest country, in characters.
pub(super) const LONGEST: usize = 16;

impl Country {
    /// Composes characters (Unicode NFC), converts to upper case, keeps letters and digits (of
    /// Unicode), and cuts at 16 characters. Returns `ZZ` if nothing remains.
    ///
    /// The cut is last because upper case can be longer: `ß` becomes `SS`. Normalising twice is the
    /// same as once: letters that come together because a character between them is dropped are
    /// composed too.
    #[must_use]
    pub fn normalise(text: &str) -> Self {
        if is_plain(text) {
            return Self(CompactString::new(text));
        }
        // Both bounds are for hostile texts: a composition buffers all marks of a letter.
        let composed = letters(text.chars().stream_safe().nfc());
        Self::or_unknown(composed.take(4 * LONGEST).nfc().take(LONGEST).collect())
    }

    /// Reads a text that [`normalise`](Self::normalise) of this or an earlier version returned;
    /// `None` for any other text. Earlier versions did not compose characters, and what they stored
    /// stays readable.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        let is_stored = is_plain(text)
            || Self::or_unknown(letters(text.chars()).take(LONGEST).collect()).as_str() == text;
        is_stored.then(|| Self(CompactString::new(text)))
    }

    pub(super) fn read(text: &str, rules: Rules) -> Self {
        match rules {
            Rules::Sent => Self::normalise(text),
            Rules::Accepted => Self::stored(text).unwrap_or_else(|| Self::normalise(text)),
        }
    }

    fn or_unknown(country: CompactString) -> Self {
        if country.is_empty() { Self::unknown() } else { Self(country) }
    }

    /// `ZZ`, the unknown country.
    #[must_use]
    pub fn unknown() -> Self {
        Self(CompactString::const_new("ZZ"))
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The letters and digits of a text in upper case.
fn letters(text: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    text.flat_map(char::to_uppercase).filter(|letter| letter.is_alphanumeric())
}

/// Whether `text` is ASCII and already normalised, as almost every country is. The check needs no
/// Unicode tables.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
