//! Countries are free text, as the real data has them; normalising makes one spelling of them.

use std::fmt;

use compact_str::CompactString;

use super::Country;

/// The longest country, in characters.
const LONGEST: usize = 16;

impl Country {
    /// Upper case, letters and digits alone (Unicode's), cut at 16 characters; `ZZ` when nothing remains.
    ///
    /// The cut comes last, for upper-casing can lengthen (`ß` is `SS`). Normalising twice changes nothing.
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

    /// Reads back a text that [`normalise`](Self::normalise) made; `None` for any other.
    #[must_use]
    pub fn from_normalised(text: &str) -> Option<Self> {
        let country = Self::normalise(text);
        (country.as_str() == text).then_some(country)
    }

    /// `ZZ`, where the country is not known.
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

/// Nearly every country is normalised already, and most are two letters: no Unicode table is needed to see that.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
