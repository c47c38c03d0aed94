//! Normalises countries, which are free text in real data, to one spelling.

use std::fmt;

use compact_str::CompactString;

use super::Country;

/// The longest country, in characters.
pub(super) const LONGEST: usize = 16;

impl Country {
    /// Converts to upper case, keeps letters and digits (of Unicode), and cuts at 16 characters.
    /// Returns `ZZ` if nothing remains.
    ///
    /// The cut is last because upper case can be longer: `ß` becomes `SS`. Normalising twice is the
    /// same as once.
    #[must_use]
    pub fn normalise(text: &str) -> Self {
        if is_plain(text) {
            return Self(CompactString::new(text));
        }
        let letters =
            text.chars().flat_map(char::to_uppercase).filter(|letter| letter.is_alphanumeric());
        let country: CompactString = letters.take(LONGEST).collect();
        if country.is_empty() { Self::unknown() } else { Self(country) }
    }

    /// Reads a text that [`normalise`](Self::normalise) returned; `None` for any other text.
    #[must_use]
    pub fn from_normalised(text: &str) -> Option<Self> {
        let country = Self::normalise(text);
        (country.as_str() == text).then_some(country)
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

/// Whether `text` is ASCII and already normalised, as almost every country is. The check needs no
/// Unicode tables.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
