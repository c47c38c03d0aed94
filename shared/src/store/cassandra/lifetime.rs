//! For how long a row lives, and at which time it is written.
//!
//! Pure, but for the stamps, which tell the machine's time.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{
    clock::Clock,
    timestamp::{RETENTION, Timestamp},
};

/// The longest time to live that Cassandra takes: twenty years, in seconds.
const LONGEST: i64 = 630_720_000;

/// How many stamps there are in a millisecond.
const TICKS: i64 = 16;

/// How long a row lives that is written at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    now: Timestamp,
    margin_ms: i64,
}

impl Lifetime {
    pub(super) fn new(now: Timestamp, margin_ms: i64) -> Self {
        Self { now, margin_ms }
    }

    /// What a row that counts from `ts` still has to live, in seconds; `None` when that is over. Rounded up, for a time to
    /// live of nothing means for ever.
    pub(super) fn of(self, ts: Timestamp) -> Option<i32> {
        let left = (ts - self.now) + RETENTION + self.margin_ms;
        let seconds = left.max(0).saturating_add(999) / 1_000;
        i32::try_from(seconds.min(LONGEST)).ok().filter(|seconds| *seconds > 0)
    }

    /// Whether the row of `start` may be gone while its `end` is still answered. Of a session that is shorter than the margin
    /// it cannot; half of the margin is left to clocks that disagree.
    pub(super) fn parts(self, start: Timestamp, end: Timestamp) -> bool {
        end - start >= self.margin_ms / 2
    }

    /// The earliest instant from which a row has something left to live.
    pub(super) fn beginning(self) -> Timestamp {
        self.now + 1 - RETENTION - self.margin_ms
    }
}

/// When a fact was written, in sixteenths of a millisecond. The stamps of one process are all different, and those of several
/// are told apart as far as their clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(i64);

/// Hands out stamps.
#[derive(Debug, Default)]
pub(super) struct Stamps(AtomicI64);

impl Stamps {
    pub(super) fn next(&self) -> Stamp {
        let now = Clock::machine().now().millis() * TICKS;
        let later = |last: i64| Some(now.max(last + 1));
        // The closure always has an answer, so this never fails.
        let (Ok(last) | Err(last)) =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        Stamp(now.max(last + 1))
    }
}

impl Stamp {
    /// After every other.
    pub(super) const LAST: Self = Self(i64::MAX);

    /// The write time of a fact of `ts` that is written now, in microseconds: the later the stamp, the smaller it is, so that
    /// the first of several writers wins. It stays within days of the event's time, so that what is young does not keep what
    /// is old from being purged, and an ordinary delete removes what happened before it.
    pub(super) fn write_time(self, ts: Timestamp) -> i64 {
        ts.millis() * 1_000 - (self.0 - ts.millis() * TICKS)
    }

    /// The stamp of a fact of `ts` with this write time.
    pub(super) fn of(ts: Timestamp, write_time: i64) -> Self {
        Self(ts.millis() * 1_000 - write_time + ts.millis() * TICKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::DAY;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    #[test]
    fn a_row_lives_a_year_and_the_margin_from_its_event() {
        let lifetime = Lifetime::new(at(1_000), DAY);
        assert_eq!(lifetime.of(at(1_000)), Some(366 * 86_400));
        assert_eq!(lifetime.of(at(1_001)), Some(366 * 86_400 + 1), "rounded up");
        assert_eq!(lifetime.of(at(1_000) - RETENTION - DAY), None);
        assert_eq!(lifetime.of(at(1_001) - RETENTION - DAY), Some(1));
        assert_eq!(lifetime.beginning(), at(1_001) - RETENTION - DAY);
        assert_eq!(lifetime.of(Timestamp::MIN), None);
        assert_eq!(lifetime.of(Timestamp::MAX), Some(630_720_000));
        assert_eq!(Lifetime::new(Timestamp::MIN, DAY).of(Timestamp::MAX), Some(630_720_000));
    }

    #[test]
    fn a_start_is_there_for_as_long_as_an_end_that_is_not_parted_from_it_is_answered() {
        for length in [0, DAY / 2 - 1, DAY / 2, DAY, 30 * DAY] {
            let (start, end) = (at(0), at(length));
            // The last instant at which a reader answers it whose clock is half a day behind.
            let last = Lifetime::new(end + RETENTION + DAY / 2, DAY);
            assert_eq!(last.of(start).is_none(), last.parts(start, end), "of {length} ms");
        }
    }

    #[test]
    fn stamps_grow_and_their_write_times_fall() {
        let stamps = Stamps::default();
        let mut last = stamps.next();
        for _ in 0..1_000 {
            let next = stamps.next();
            assert!(next > last);
            for ts in [Timestamp::MIN, at(0), Clock::machine().now(), Timestamp::MAX] {
                assert!(next.write_time(ts) < last.write_time(ts));
                assert_eq!(Stamp::of(ts, next.write_time(ts)), next);
            }
            last = next;
        }
    }

    #[test]
    fn a_write_time_stays_within_a_week_of_its_event() {
        let stamp = Stamps::default().next();
        let now = Clock::machine().now();
        for ts in [now - RETENTION, now, now + DAY / 24] {
            assert!((stamp.write_time(ts) - ts.millis() * 1_000).abs() < 7 * DAY * 1_000);
        }
    }
}
