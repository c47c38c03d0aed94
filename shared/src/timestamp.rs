//! An instant to the millisecond: the only time type of the service, and its two spellings (RFC 3339 and epoch milliseconds).
//!
//! Never tells the time: see [`crate::clock`].

use std::{fmt, ops};

use chrono::{DateTime, NaiveDate, Timelike};
use serde::{Serialize, Serializer};

/// Milliseconds in a second, a minute, an hour and a day.
pub const SECOND: i64 = 1_000;
/// See [`SECOND`].
pub const MINUTE: i64 = 60 * SECOND;
/// See [`SECOND`].
pub const HOUR: i64 = 60 * MINUTE;
/// See [`SECOND`].
pub const DAY: i64 = 24 * HOUR;

/// How long a session is kept and answered, in milliseconds, counted from the time of its event: 365 days.
pub const RETENTION: i64 = 365 * DAY;

/// An instant in UTC: milliseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest instant that can be spelled.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// 9999-12-31T23:59:59.999Z, the latest instant that can be spelled.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `millis` milliseconds after the epoch; `None` outside the years 1 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The start of the slot of `step` milliseconds, counted from the epoch, in which this instant lies.
    #[must_use]
    pub const fn floor(self, step: i64) -> Self {
        Self(self.0.div_euclid(step) * step)
    }
}

impl ops::Add<i64> for Timestamp {
    type Output = Self;

    /// This instant moved by `millis` milliseconds, kept within the years 1 to 9999.
    fn add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl ops::Sub<i64> for Timestamp {
    type Output = Self;

    fn sub(self, millis: i64) -> Self {
        self + millis.saturating_neg()
    }
}

impl ops::Sub for Timestamp {
    type Output = i64;

    /// Milliseconds from `earlier` to this instant.
    fn sub(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// RFC 3339 in UTC with `Z`, with milliseconds only when they are not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = DateTime::from_timestamp_millis(self.0) else { return Err(fmt::Error) };
        let at = at.naive_utc();
        let (date, time): (NaiveDate, _) = (at.date(), at.time());
        let (year, month, day) = (chrono::Datelike::year(&date), chrono::Datelike::month(&date), chrono::Datelike::day(&date));
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        match self.0.rem_euclid(SECOND) {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
