//! The rights that a key may have.

use std::fmt;

use crate::words;

/// A right of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Send events.
    Ingest,
    /// Ask questions about sessions.
    Read,
    /// Read the metrics and the cause why a process is not ready.
    Operate,
    /// Erase the data of a user. No call needs it yet.
    Erase,
}

words!(Right: "ingest" => Ingest, "read" => Read, "operate" => Operate, "erase" => Erase);

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Operate, Self::Erase];

    /// Its word in the file of keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Erase => "erase",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Rights {
    /// Whether `right` is in the set.
    #[must_use]
    pub const fn contains(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Whether `right` is the only one in the set.
    #[must_use]
    pub const fn only(self, right: Right) -> bool {
        self.0 == right.bit()
    }

    /// The rights in the set.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<T: IntoIterator<Item = Right>>(rights: T) -> Self {
        Self(rights.into_iter().fold(0, |set, right| set | right.bit()))
    }
}

/// Separated by commas: `ingest,read`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.iter().map(Right::as_str).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let rights: Rights = [Right::Read, Right::Ingest, Right::Read].into_iter().collect();
        assert_eq!(Right::ALL.map(|right| rights.contains(right)), [true, true, false, false]);
        assert_eq!(rights.to_string(), "ingest,read");
        assert!(!rights.only(Right::Ingest) && !rights.only(Right::Read));
        let ingest: Rights = [Right::Ingest].into_iter().collect();
        assert!(ingest.only(Right::Ingest) && !ingest.only(Right::Read));
        assert_eq!(Rights::default().iter().count(), 0);
    }

    #[test]
    fn every_right_is_parsed_from_its_own_word() {
        for right in Right::ALL {
            assert_eq!(right.to_string().parse(), Ok(right));
        }
        let unknown = "write".parse::<Right>().unwrap_err();
        assert_eq!(unknown, "expected one of ingest, read, operate, erase");
    }
}
