//! Dead letters: records that cannot be handled, each with a code from a closed set.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared::event::RejectionCode;

use super::Record;

/// Why a record went to the dead letters. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadLetterCode {
    /// It is not a valid event: the code of the rejection.
    Rejected(RejectionCode),
    /// Its session has more distinct facts than a session may have.
    Contested,
    /// Handling it panicked. Such letters can be redriven once the defect is fixed.
    Panicked,
}

/// A record that cannot be handled, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The reason.
    pub code: DeadLetterCode,
    /// The record as polled.
    pub record: Record,
}

/// The result of a redrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// The number of dead letters read.
    pub looked_at: u64,
    /// The number of those that were appended to the log again.
    pub appended: u64,
    /// The number of those that were removed, because another letter of their record was handled.
    pub repeated: u64,
}

impl DeadLetterCode {
    /// Every code: rejections first, then abuse, then our own defects.
    pub fn all() -> impl Iterator<Item = Self> {
        RejectionCode::ALL
            .iter()
            .copied()
            .map(Self::Rejected)
            .chain([Self::Contested, Self::Panicked])
    }

    /// The code as it appears in the header of a dead letter and in metric labels.
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
            format!("unknown dead-letter code {text:?}; expected one of {}", all.join(", "))
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
