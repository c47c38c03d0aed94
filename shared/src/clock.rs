//! The time of day. No other module reads it.
//!
//! A [`Clock`] may start at an instant in the past, so that old data can be loaded and queried as
//! if it were new.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::timestamp::Timestamp;

/// The clock of the process: the machine's, or one that started at a given instant.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    Machine,
    Set { at: Timestamp, since: Instant },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn machine() -> Self {
        Self(Source::Machine)
    }

    /// A clock that shows `at` now.
    #[must_use]
    pub fn starting_at(at: Timestamp) -> Self {
        Self(Source::Set { at, since: Instant::now() })
    }

    /// Returns the time of day. A time before 1970 is returned as 1970.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Source::Machine => {
                #[expect(clippy::disallowed_methods, reason = "this is the door")]
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::default() + i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
            }
            Source::Set { at, since } => {
                at + i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::MINUTE;

    #[test]
    fn a_clock_that_was_set_runs_on_from_there() {
        let begin = Timestamp::parse("2019-05-13T12:00:00Z").unwrap();
        let clock = Clock::starting_at(begin);
        let first = clock.now();
        assert!((begin..begin + MINUTE).contains(&first));
        while clock.now() == first {
            std::thread::yield_now();
        }
        assert!(clock.now() > first);
    }

    #[test]
    fn a_clock_that_was_set_near_the_last_instant_stays_there() {
        assert_eq!(Clock::starting_at(Timestamp::MAX).now(), Timestamp::MAX);
    }

    #[test]
    fn the_machine_s_clock_shows_our_days() {
        let now = Clock::machine().now();
        assert!(now > Timestamp::parse("2020-01-01T00:00:00Z").unwrap());
    }
}
