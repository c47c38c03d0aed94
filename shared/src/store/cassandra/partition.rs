//! In which partition the starts of a country's day lie.
//!
//! A process takes one partition for a country's day until it has written as many starts to it as it should hold, then eight,
//! then sixty-four, and so on. Nobody has to agree on that: a reader merges all partitions of a day.

use std::hash::{DefaultHasher, Hash, Hasher};

use scylla::value::CqlDate;

use super::memo::Memo;
use crate::{
    event::Country,
    session::SessionStart,
    timestamp::{DAY, Timestamp},
};

/// How many partitions a country's day is cut into, one layout after another.
const LAYOUTS: [i16; 5] = [1, 8, 64, 512, 4_096];

/// Of how many countries' days it is remembered how many starts were written.
const REMEMBERED: usize = 20_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(i32);

/// A partition of `starts_by_country`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition {
    pub(super) country: Country,
    pub(super) day: Day,
    /// How many partitions the layout has, and which of them this is.
    pub(super) shards: i16,
    pub(super) shard: i16,
}

/// Chooses partitions, and remembers how full they are.
#[derive(Debug)]
pub(super) struct Layouts {
    starts_per_partition: u64,
    written: Memo<(Country, Day), u64>,
}

impl Day {
    /// The day of 1970-01-01 in the database's own numbers.
    const EPOCH: u32 = 1 << 31;

    pub(super) fn of(ts: Timestamp) -> Self {
        // The years 1 to 9999 are far within 32 bits.
        Self(i32::try_from(ts.millis().div_euclid(DAY)).unwrap_or(0))
    }

    pub(super) fn cql(self) -> CqlDate {
        CqlDate(Self::EPOCH.wrapping_add_signed(self.0))
    }

    /// `None` outside the years 1 to 9999.
    pub(super) fn from_cql(date: CqlDate) -> Option<Self> {
        let days = i64::from(date.0) - i64::from(Self::EPOCH);
        Timestamp::from_millis(days * DAY).map(Self::of)
    }

    pub(super) fn begins(self) -> Timestamp {
        Timestamp::default() + i64::from(self.0) * DAY
    }

    pub(super) fn ends(self) -> Timestamp {
        self.begins() + DAY - 1
    }
}

impl Layouts {
    pub(super) fn new(starts_per_partition: u64) -> Self {
        Self { starts_per_partition, written: Memo::new(REMEMBERED) }
    }

    /// The partition to write `start` to.
    pub(super) fn choose(&self, start: &SessionStart) -> Partition {
        let day = Day::of(start.ts);
        let key = (start.country.clone(), day);
        let shards = layout(self.written.get(&key).unwrap_or(0), self.starts_per_partition);
        let (country, _) = key;
        let mut hasher = DefaultHasher::new();
        // Sessions are told apart within their user only: many users may call theirs the same.
        (start.user.as_str(), start.session.as_str()).hash(&mut hasher);
        let shard = hasher.finish() % u64::from(shards.unsigned_abs());
        Partition { country, day, shards, shard: i16::try_from(shard).unwrap_or(0) }
    }

    /// Counts `rows` that were acknowledged: what is tried again has not filled anything.
    pub(super) fn written(&self, country: Country, day: Day, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.written.update(&(country, day), |before| before.unwrap_or(0).saturating_add(rows));
    }
}

/// The layout of a country's day of which `written` starts were written.
fn layout(written: u64, starts_per_partition: u64) -> i16 {
    let mut room = 0_u64;
    for shards in LAYOUTS {
        room = room
            .saturating_add(starts_per_partition.saturating_mul(u64::from(shards.unsigned_abs())));
        if written < room {
            return shards;
        }
    }
    LAYOUTS[LAYOUTS.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{SessionId, UserId};

    #[test]
    fn a_day_that_grows_takes_more_partitions() {
        let layouts = [0, 49_999, 50_000, 449_999, 450_000, 3_649_999, 3_650_000, u64::MAX];
        assert_eq!(
            layouts.map(|written| layout(written, 50_000)),
            [1, 1, 8, 8, 64, 64, 512, 4_096]
        );
    }

    #[test]
    fn sessions_of_many_users_with_one_name_are_spread() {
        let layouts = Layouts::new(0);
        let mut shards: Vec<_> = (0..1_000)
            .map(|n| {
                let start = SessionStart {
                    user: UserId::new(&format!("u{n}")).unwrap(),
                    session: SessionId::new("1").unwrap(),
                    country: Country::normalise("SK"),
                    ts: Timestamp::default(),
                };
                layouts.choose(&start).shard
            })
            .collect();
        shards.sort_unstable();
        shards.dedup();
        assert!(shards.len() > 800, "a thousand users lie in {} of 4,096 partitions", shards.len());
    }

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
