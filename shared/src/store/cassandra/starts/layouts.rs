//! Layouts: into how many partitions a country's day is split.
//!
//! A process writes the starts of a country's day to one partition until that holds enough, then to
//! eight partitions, then to 64, and so on. Processes need not agree: readers merge all partitions
//! of a day.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::partition::{Day, Partition};
use crate::{event::Country, session::SessionStart, store::memo::Memo};

/// Number of partitions of each layout, in the order of their use.
const LAYOUTS: [i16; 5] = [1, 8, 64, 512, 4_096];

/// Number of days of countries to remember with their number of written starts.
const REMEMBERED: usize = 20_000;

/// Chooses partitions, and counts the starts written to each country's day.
#[derive(Debug)]
pub(crate) struct Layouts {
    starts_per_partition: u64,
    written: Memo<(Country, Day), u64>,
}

impl Layouts {
    pub(crate) fn new(starts_per_partition: u64) -> Self {
        Self { starts_per_partition, written: Memo::new(REMEMBERED) }
    }

    /// The partition that `start` is written to.
    pub(crate) fn choose(&self, start: &SessionStart) -> Partition {
        let day = Day::of(start.ts);
        let key = (start.country.clone(), day);
        let shards = layout(self.written.get(&key).unwrap_or(0), self.starts_per_partition);
        let (country, _) = key;
        let mut hasher = DefaultHasher::new();
        // Session ids are unique per user only: many users may have a session `1`.
        (start.user.as_str(), start.session.as_str()).hash(&mut hasher);
        // Less than `shards`, so it is not truncated.
        let shard = (hasher.finish() % u64::from(shards.unsigned_abs())) as i16;
        Partition { country, day, shards, shard }
    }

    /// Counts `rows` acknowledged rows. Failed writes do not count: they are retried.
    pub(crate) fn written(&self, country: Country, day: Day, rows: usize) {
        let rows = rows as u64;
        self.written.update(&(country, day), |before| before.unwrap_or(0).saturating_add(rows));
    }
}

/// The layout of a country's day to which `written` starts were written.
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
    use crate::{
        event::{SessionId, UserId},
        timestamp::Timestamp,
    };

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
        assert!(shards.len() > 800, "1,000 users are in {} of 4,096 partitions", shards.len());
    }
}
