//! Times to live of rows. Pure.

use crate::timestamp::{RETENTION, Timestamp};

/// The longest time to live that Cassandra accepts: twenty years, in seconds.
const MAX_TTL: i32 = 630_720_000;

/// Computes times to live of rows that are written at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    now: Timestamp,
    margin_ms: i64,
}

impl Lifetime {
    pub(crate) fn new(now: Timestamp, margin_ms: i64) -> Self {
        Self { now, margin_ms }
    }

    /// The time to live in seconds of a row whose retention counts from `ts`; `None` when it has
    /// expired. Rounded up, because Cassandra never expires a row with a time to live of 0.
    pub(crate) fn ttl(self, ts: Timestamp) -> Option<i32> {
        let left = (ts - self.now) + RETENTION + self.margin_ms;
        let seconds = left.max(0).saturating_add(999) / 1_000;
        // Seconds that do not fit are more than the maximum.
        (seconds > 0)
            .then(|| i32::try_from(seconds).map_or(MAX_TTL, |seconds| seconds.min(MAX_TTL)))
    }

    /// Whether the row of `start` can expire while `end` is still returned to readers. For a
    /// session shorter than the margin it cannot; half of the margin allows for clocks that
    /// disagree.
    pub(crate) fn can_outlive(self, end: Timestamp, start: Timestamp) -> bool {
        end - start >= self.margin_ms / 2
    }

    /// The earliest instant whose rows have not expired.
    pub(crate) fn earliest(self) -> Timestamp {
        self.now + 1 - RETENTION - self.margin_ms
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
        assert_eq!(lifetime.ttl(at(1_000)), Some(366 * 86_400));
        assert_eq!(lifetime.ttl(at(1_001)), Some(366 * 86_400 + 1), "rounded up");
        assert_eq!(lifetime.ttl(at(1_000) - RETENTION - DAY), None);
        assert_eq!(lifetime.ttl(at(1_001) - RETENTION - DAY), Some(1));
        assert_eq!(lifetime.earliest(), at(1_001) - RETENTION - DAY);
        assert_eq!(lifetime.ttl(Timestamp::MIN), None);
        assert_eq!(lifetime.ttl(Timestamp::MAX), Some(630_720_000));
        assert_eq!(Lifetime::new(Timestamp::MIN, DAY).ttl(Timestamp::MAX), Some(630_720_000));
    }

    #[test]
    fn a_start_exists_while_an_end_that_cannot_outlive_it_is_returned() {
        for length in [0, DAY / 2 - 1, DAY / 2, DAY, 30 * DAY] {
            let (start, end) = (at(0), at(length));
            // The last instant at which a reader returns the end if its clock is half a day slow.
            let last = Lifetime::new(end + RETENTION + DAY / 2, DAY);
            assert_eq!(last.ttl(start).is_none(), last.can_outlive(end, start), "of {length} ms");
        }
    }
}
