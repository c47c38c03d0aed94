//! Stamps: the order in which facts were written, stored in their write times.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{clock::Clock, timestamp::Timestamp};

/// Stamps per millisecond.
const TICKS: i64 = 16;

/// When a fact was written, in sixteenths of a millisecond. The stamps of one process are distinct.
/// Those of several processes are ordered as precisely as their clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::cassandra) struct Stamp(i64);

/// Issues stamps.
#[derive(Debug, Default)]
pub(crate) struct Stamps(AtomicI64);

impl Stamps {
    pub(in crate::store::cassandra) fn next(&self) -> Stamp {
        let now = Clock::machine().now().millis() * TICKS;
        let later = |last: i64| Some(now.max(last + 1));
        // The closure always returns a value, so this never fails.
        let (Ok(last) | Err(last)) =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        Stamp(now.max(last + 1))
    }
}

impl Stamp {
    /// Later than every other stamp.
    pub(super) const LAST: Self = Self(i64::MAX);

    /// The write time in microseconds of a fact of `ts` with this stamp. A later stamp has a
    /// smaller write time, so the first of several writers wins. Write times stay within days of
    /// the event, so that young rows do not keep old ones from being purged, and an ordinary DELETE
    /// removes the events before it.
    pub(in crate::store::cassandra) fn write_time(self, ts: Timestamp) -> i64 {
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
    use crate::timestamp::{DAY, RETENTION};

    #[test]
    fn stamps_grow_and_their_write_times_fall() {
        let stamps = Stamps::default();
        let mut last = stamps.next();
        for _ in 0..1_000 {
            let next = stamps.next();
            assert!(next > last);
            for ts in [Timestamp::MIN, Timestamp::default(), Clock::machine().now(), Timestamp::MAX]
            {
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
