//! An instant with millisecond precision, and its two formats: a date-time near RFC 3339 and epoch
//! milliseconds.
//!
//! The only time type of the service. Never reads a clock: see [`crate::clock`].

mod fault;

use std::{fmt, ops, str::FromStr};

use serde::{Serialize, Serializer};

/// Milliseconds in a second.
pub const SECOND: i64 = 1_000;
/// Milliseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Milliseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Milliseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// Time that a session is kept and returned, counted from its events, in milliseconds: 365 days.
pub const RETENTION: i64 = 365 * DAY;

/// Time that rows stay in the store beyond the retention, in milliseconds. It allows for clocks
/// that disagree: what a reader may still return has not been removed.
pub const MARGIN: i64 = DAY;

/// Days from 0000-03-01, the origin of the calendar arithmetic below, to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

/// An instant in UTC: milliseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not a valid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time in the years 1 to 9999, such as 2019-05-13T12:00:00Z")]
pub struct NotATime;

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest valid instant.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// 9999-12-31T23:59:59.999Z, the latest valid instant.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `millis` milliseconds after the epoch; `None` outside the years 1 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Parses a date-time as clients print it; `None` if it is invalid or outside the years 1 to
    /// 9999.
    ///
    /// A date, `T`, `t` or one space, a time of day, and an optional zone, by default UTC. Seconds
    /// may be missing, as Java prints a full minute. Zones are `Z`, `z`, ` UTC`, and offsets such
    /// as `+02:00`, `+0200` and `+02`. Fractions of a second are truncated to milliseconds, towards
    /// the past, also before 1970. Everything else is invalid: basic, week and ordinal dates, a
    /// date alone, a comma, `24:00`, names of zones, and surrounding spaces. A second of 60 is
    /// valid only at midnight UTC, where leap seconds are inserted. It counts as the first second
    /// of the next day, as in POSIX time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (minute, rest) = text.as_bytes().split_first_chunk::<16>()?;
        #[rustfmt::skip]
        let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T' | b't' | b' ',
             h1, h2, b':', mi1, mi2] = *minute else { return None };
        let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(mo1, mo2)?, two(d1, d2)?);
        let (hour, minute) = (two(h1, h2)?, two(mi1, mi2)?);
        let (second, fraction, zone) = match *rest {
            [b':', s1, s2, ref rest @ ..] => {
                let (fraction, zone) = split_fraction(rest)?;
                (two(s1, s2)?, fraction, zone)
            }
            _ => (0, 0, rest),
        };
        if year == 0
            || day == 0
            || day > days_in_month(year, month)?
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let local = days_from_civil(year, month, day) * DAY
            + hour * HOUR
            + minute * MINUTE
            + second * SECOND;
        let whole = local - offset(zone)?;
        if second == 60 && whole.rem_euclid(DAY) != 0 {
            return None;
        }
        Self::from_millis(whole + fraction)
    }

    /// Writes the instant to `buffer` in RFC 3339 with `Z`, with milliseconds only if not zero.
    ///
    /// The same text as [`Display`](fmt::Display), but faster.
    pub fn rfc3339(self, buffer: &mut [u8; 24]) -> &str {
        // Neither is truncated, and narrow integers divide several times faster.
        let (days, in_day) = (self.0.div_euclid(DAY) as i32, self.0.rem_euclid(DAY) as u32);
        let (year, month, day) = civil_from_days(days);
        let (seconds, millis) = (in_day / 1_000, in_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        *buffer = *b"0000-00-00T00:00:00.000Z";
        for (at, value) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second),
        ] {
            (buffer[at], buffer[at + 1]) = (digit(value / 10), digit(value % 10));
        }
        let length = if millis == 0 {
            buffer[19] = b'Z';
            20
        } else {
            (buffer[20], buffer[21], buffer[22]) =
                (digit(millis / 100), digit(millis / 10 % 10), digit(millis % 10));
            24
        };
        let Ok(text) = str::from_utf8(&buffer[..length]) else {
            unreachable!("only ASCII is written above")
        };
        text
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The first instant of the slot of `step` milliseconds, counted from the epoch, that contains
    /// this instant.
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
        Self(self.0.saturating_sub(millis).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl ops::Sub for Timestamp {
    type Output = i64;

    /// Milliseconds from `earlier` to this instant.
    fn sub(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// RFC 3339 in UTC with `Z`, with milliseconds only if not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.rfc3339(&mut [0; 24]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.rfc3339(&mut [0; 24]))
    }
}

/// Parses with [`Timestamp::parse`].
impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        Self::parse(text).ok_or(NotATime)
    }
}

/// The number with these two ASCII digits.
fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// The ASCII digit of a number from 0 to 9.
const fn digit(value: u32) -> u8 {
    b'0' + value as u8
}

/// Splits `text` into the milliseconds of an optional fraction, and the zone.
fn split_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = fraction.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
    let (digits, zone) = fraction.split_at(length);
    let worth = [100, 10, 1];
    let millis = digits.iter().zip(worth).map(|(byte, worth)| i64::from(byte - b'0') * worth).sum();
    (length > 0).then_some((millis, zone))
}

/// The offset of a zone from UTC in milliseconds, positive to the east; 0 without a zone.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *zone {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            (sign, two(h1, h2)?, two(m1, m2)?)
        }
        [sign @ (b'+' | b'-'), h1, h2] => (sign, two(h1, h2)?, 0),
        _ => return matches!(zone, b"" | b"Z" | b"z" | b" UTC").then_some(0),
    };
    let ahead = hours * HOUR + minutes * MINUTE;
    (hours < 24 && minutes < 60).then_some(if sign == b'-' { -ahead } else { ahead })
}

/// `None` for an invalid month.
fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => Some(if leap { 29 } else { 28 }),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Days since 1970-01-01 of a date in the years 1 to 9999. Years begin in March here, so that a
/// leap day is the last day of its year.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_EPOCH
}

/// The inverse: year, month and day.
const fn civil_from_days(days: i32) -> (u32, u32, u32) {
    let days = (days + DAYS_TO_EPOCH as i32) as u32;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era;
    (if month <= 2 { year + 1 } else { year }, month, day)
}
