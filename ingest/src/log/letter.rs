//! Dead letters: records that can not be handled, each with the reason, one of a closed set.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared::event::RejectionCode;

use super::Record;

/// Why a record went to the dead letters. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadLetterCode {
    /// It is no valid event: the code of its rejection.
    Rejected(RejectionCode),
    /// Its session has too many distinct facts.
    Contested,
    /// Handling it panicked: a defect of ours, kept for when it is mended.
    Panicked,
}

/// A record that can not be handled, with the reason and the place it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why.
    pub code: DeadLetterCode,
    /// The record as it was polled.
    pub record: Record,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Dead letters looked at.
    pub looked_at: u64,
    /// Of these, appended to the log again.
    pub appended: u64,
}

impl DeadLetterCode {
    /// Every code, in the order of their texts' meaning: what is refused, then what is abuse, then what is our defect.
    pub fn all() -> impl Iterator<Item = Self> {
        RejectionCode::ALL
            .iter()
            .copied()
            .map(Self::Rejected)
            .chain([Self::Contested, Self::Panicked])
    }

    /// The word by which it is known in a dead letter's header and a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected(code) => code.as_str(),
            Self::Contested => "contested",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for DeadLetterCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeadLetterCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|code| code.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::all().map(Self::as_str).collect();
            format!("{text:?} is no code of a dead letter; they are {}", all.join(", "))
        })
    }
}

impl Serialize for DeadLetterCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DeadLetterCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
