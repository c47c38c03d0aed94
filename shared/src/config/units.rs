//! The types of values of settings: sizes, durations and secrets.
//!
//! Sizes are parsed here because a unit is always binary: `1k` is 1,024 bytes. Crates for sizes
//! read it as 1,000.

use std::{fmt, str::FromStr, time::Duration};

/// A size in bytes: `64KiB`, `2 MiB`, `1GiB`, or a number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A duration: `200ms`, `15s`, `5m`, `12h` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationValue(pub Duration);

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A type with a word for each of its values.
pub trait Words {
    /// The words.
    const WORDS: &'static [&'static str];
}

/// Implements `FromStr` and [`Words`] for an enum: a word for each value, in upper or lower case.
#[macro_export]
macro_rules! words {
    ($type:ty: $($word:literal => $value:ident),+) => {
        impl $crate::config::Words for $type {
            const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok(Self::$value);
                })+
                Err($crate::config::unknown_word(text, <Self as $crate::config::Words>::WORDS))
            }
        }
    };
}

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a number of bytes, KiB, MiB or GiB, for example 64MiB";
        let (number, unit) = split_unit(text);
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" | "k" => 1 << 10,
            "mib" | "m" => 1 << 20,
            "gib" | "g" => 1 << 30,
            _ => return Err(WRONG),
        };
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        number.checked_mul(unit).map(Self).ok_or(WRONG)
    }
}

impl FromStr for DurationValue {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a number and a unit (ms, s, m, h or d), for example 15s";
        let (number, unit) = split_unit(text);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(WRONG),
        };
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        number.checked_mul(unit).map(|millis| Self(Duration::from_millis(millis))).ok_or(WRONG)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// In the largest unit that fits, with one decimal digit: `1 MiB`, `23.5 GiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let fitting = units.into_iter().find(|(size, _)| self.0 >= *size);
        let (size, unit) = fitting.unwrap_or((1, "bytes"));
        write!(f, "{} {unit}", (self.0 as f64 / size as f64 * 10.0).floor() / 10.0)
    }
}

impl DurationValue {
    /// The duration in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Secret {
    /// Hides `text` from printing.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for code that sends it to a server.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
