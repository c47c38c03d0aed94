//! Partitions of `starts_by_country`.

use scylla::value::CqlDate;

use crate::{
    event::Country,
    timestamp::{DAY, Timestamp},
};

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i32);

/// A partition of `starts_by_country`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    pub(crate) country: Country,
    pub(crate) day: Day,
    /// Number of partitions in the layout.
    pub(crate) shards: i16,
    /// Number of this partition, from 0.
    pub(crate) shard: i16,
}

impl Day {
    /// 1970-01-01 as a CQL date.
    const EPOCH: u32 = 1 << 31;

    pub(crate) fn of(ts: Timestamp) -> Self {
        // The years 1 to 9999 have fewer than four million days, so nothing is truncated.
        Self(ts.millis().div_euclid(DAY) as i32)
    }

    pub(crate) fn cql(self) -> CqlDate {
        CqlDate(Self::EPOCH.wrapping_add_signed(self.0))
    }

    /// `None` outside the years 1 to 9999.
    pub(crate) fn from_cql(date: CqlDate) -> Option<Self> {
        let days = i64::from(date.0) - i64::from(Self::EPOCH);
        Timestamp::from_millis(days * DAY).map(Self::of)
    }

    /// The first instant of the day.
    pub(crate) fn begins(self) -> Timestamp {
        Timestamp::default() + i64::from(self.0) * DAY
    }

    /// The last instant of the day.
    pub(crate) fn ends(self) -> Timestamp {
        self.begins() + DAY - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_spelled_as_the_database_does_before_1970_too() {
        for (text, days) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2024-02-29T12:00:00Z", 19_782),
        ] {
            let day = Day::of(Timestamp::parse(text).unwrap());
            assert_eq!(day, Day(days), "{text}");
            assert_eq!(Day::from_cql(day.cql()), Some(day));
            assert_eq!(Day::of(day.ends()), day);
            assert_eq!(Day::of(day.ends() + 1), Day(days + 1));
        }
        for ts in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(Day::from_cql(Day::of(ts).cql()), Some(Day::of(ts)));
        }
        assert_eq!(Day::from_cql(CqlDate(0)), None);
    }
}
