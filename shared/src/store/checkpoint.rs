//! The checkpoint: how much of a log a store holds.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// The random identity of a log. It changes when the log's records are not those that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub [u8; 16]);

/// A log, and for each of its partitions the offset below which a store holds every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log that the store was written from.
    pub log: LogId,
    /// For each partition, the offset of the first record that the store may lack.
    pub offsets: BTreeMap<i32, i64>,
}

/// How much of its log a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing: it is empty.
    Nothing,
    /// Unknown: a version that kept no checkpoint wrote it.
    Unknown,
    /// Every record before a checkpoint.
    To(Checkpoint),
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for LogId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or("expected 32 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let id = LogId(std::array::from_fn(|at| u8::try_from(at).unwrap() * 17));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in
            ["", "00", "+0000000000000000000000000000000", "ä00000000000000000000000000000"]
        {
            assert!(wrong.parse::<LogId>().is_err(), "{wrong}");
        }
    }
}
