//! The window of a query: the time span that its parameters give.

use shared::{
    http::Params,
    store::Window,
    timestamp::{DAY, HOUR, RETENTION, Timestamp},
};

use crate::error::QueryError;

/// A time span as the query gives it; the window that it means depends on the time of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// The last given number of milliseconds.
    Last(i64),
    /// From one instant to another, or to now.
    Since(Timestamp, Option<Timestamp>),
}

/// The parameters for a length, and their units in milliseconds.
pub(crate) const DAYS: (&str, i64) = ("days", DAY);
const HOURS: (&str, i64) = ("hours", HOUR);

/// An example of each way to give a window.
pub(crate) const EXAMPLES: &str =
    "days=1, or hours=1.5, or from=2019-05-12T00:00:00Z&to=2019-05-13T00:00:00Z";
/// An example of each way to give a window by its length.
pub(crate) const LENGTH_EXAMPLES: &str = "days=1, or hours=1.5";

pub(crate) const WAYS: &str = "use only one of `days`, `hours`, or `from` (optionally with `to`)";
pub(crate) const ONE_LENGTH: &str = "use only one of `days` and `hours`";
pub(crate) const ORDER: &str = "`from` must not be after `to`; without `to`, the window ends now";
pub(crate) const INSTANT: &str =
    "`from` and `to` must be RFC 3339 times such as 2019-05-12T00:00:00Z";

impl Span {
    /// The parameters that [`read`](Self::read) uses.
    pub(crate) const PARAMETERS: [&str; 4] = ["days", "hours", "from", "to"];

    /// Reads the span that the parameters give.
    pub(crate) fn read(params: &Params) -> Result<Self, QueryError> {
        let [days, hours, from, to] = Self::PARAMETERS.map(|name| params.one(name));
        match (days, hours, from, to) {
            (Some(days), None, None, None) => last(DAYS, days),
            (None, Some(hours), None, None) => last(HOURS, hours),
            (None, None, Some(from), to) => {
                Ok(Self::Since(instant(from)?, to.map(instant).transpose()?))
            }
            (None, None, None, None) => Err(QueryError::MissingWindow(EXAMPLES)),
            (_, _, _, _) => Err(QueryError::InvalidWindow(WAYS)),
        }
    }

    /// Reads the span of a call that supports only `days` and `hours`.
    pub(crate) fn read_length(params: &Params) -> Result<Self, QueryError> {
        match (params.one("days"), params.one("hours")) {
            (Some(days), None) => last(DAYS, days),
            (None, Some(hours)) => last(HOURS, hours),
            (None, None) => Err(QueryError::MissingWindow(LENGTH_EXAMPLES)),
            (Some(_), Some(_)) => Err(QueryError::InvalidWindow(ONE_LENGTH)),
        }
    }

    /// Returns the window at `now`. A window given by its length ends `tolerance_ms` after `now`,
    /// so that it includes starts from clients whose clocks run ahead.
    pub(crate) fn window(self, now: Timestamp, tolerance_ms: i64) -> Result<Window, QueryError> {
        let window = match self {
            Self::Last(length) => Window { from: now - length, to: now + tolerance_ms },
            Self::Since(from, to) => Window { from, to: to.unwrap_or(now) },
        };
        if window.from > window.to { Err(QueryError::InvalidWindow(ORDER)) } else { Ok(window) }
    }

    /// The length of its `window` in milliseconds. The time that a window given by its length ends
    /// after now does not count.
    pub(crate) fn length(self, window: Window) -> i64 {
        match self {
            Self::Last(length) => length,
            Self::Since(..) => window.to - window.from,
        }
    }
}

fn last(parameter: (&'static str, i64), text: &str) -> Result<Span, QueryError> {
    // `parse` also accepts `inf` and `nan`, which are outside the bounds.
    let length = text.parse::<f64>().ok().map(|number| number * parameter.1 as f64);
    match length {
        // Rounded up, so that the shortest window is not empty.
        Some(length) if length > 0.0 && length <= RETENTION as f64 => {
            Ok(Span::Last(length.ceil() as i64))
        }
        _ => Err(wrong_length(parameter, text)),
    }
}

/// The error of an invalid length, with the first characters of its text.
pub(crate) fn wrong_length((name, unit): (&'static str, i64), text: &str) -> QueryError {
    QueryError::InvalidLength {
        name,
        most: RETENTION / unit,
        given: text.chars().take(48).collect(),
    }
}

/// Reads an instant. A `+` before the zone that the client did not escape arrives as a space.
fn instant(text: &str) -> Result<Timestamp, QueryError> {
    let zone = || {
        let (time, zone) = text.rsplit_once(' ')?;
        Timestamp::parse(&format!("{time}+{zone}"))
    };
    Timestamp::parse(text).or_else(zone).ok_or(QueryError::InvalidWindow(INSTANT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Span, String> {
        let params = Params::parse(query, &Span::PARAMETERS).unwrap();
        Span::read(&params).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn fractions_of_days_and_hours_are_lengths() {
        assert_eq!(read("days=0.5"), Ok(Span::Last(DAY / 2)));
        assert_eq!(read("hours=1.5"), Ok(Span::Last(HOUR * 3 / 2)));
        assert_eq!(read("days=365"), Ok(Span::Last(RETENTION)));
        assert_eq!(read("hours=8760"), Ok(Span::Last(RETENTION)));
        assert_eq!(read("days=1e-12"), Ok(Span::Last(1)));
    }

    #[test]
    fn a_length_that_is_not_above_zero_and_within_a_year_is_refused() {
        for days in ["0", "-1", "", "NaN", "inf", "365.1", "one"] {
            let expected = format!(
                "`days` must be above 0 and at most 365, not {days:?}; fractions are allowed"
            );
            assert_eq!(read(&format!("days={days}")), Err(expected), "{days}");
        }
        let expected =
            "`hours` must be above 0 and at most 8760, not \"8761\"; fractions are allowed";
        assert_eq!(read("hours=8761"), Err(expected.to_owned()));
    }

    #[test]
    fn a_window_is_given_in_exactly_one_way() {
        for query in [
            "days=1&hours=1",
            "days=1&from=2019-05-12T00:00:00Z",
            "to=2019-05-12T00:00:00Z",
            "hours=1&to=x",
        ] {
            assert_eq!(read(query), Err(WAYS.to_owned()), "{query}");
        }
        assert!(
            read("")
                .unwrap_err()
                .starts_with("the time range is missing; give days=1, or hours=1.5, or from=")
        );
    }

    #[test]
    fn an_instant_keeps_its_zone_although_its_plus_was_not_escaped() {
        let noon = at("2019-05-12T12:00:00Z");
        for query in [
            "from=2019-05-12T14:00:00+02:00",
            "from=2019-05-12T14:00:00%2B02:00",
            "from=2019-05-12+12:00:00",
        ] {
            assert_eq!(read(query), Ok(Span::Since(noon, None)), "{query}");
        }
        assert_eq!(read("from=yesterday"), Err(INSTANT.to_owned()));
        assert_eq!(read("from=2019-05-12T12:00:00Z&to=now"), Err(INSTANT.to_owned()));
    }

    #[test]
    fn a_window_without_an_end_ends_now_and_must_not_begin_later() {
        let (now, later) = (at("2019-05-13T12:00:00Z"), at("2019-05-13T12:00:00.001Z"));
        let window = |span: Span| span.window(now, 300_000).ok();
        assert_eq!(window(Span::Since(now, None)), Some(Window { from: now, to: now }));
        assert_eq!(window(Span::Since(later, None)), None);
        assert_eq!(window(Span::Since(later, Some(now))), None);
        let last = Window { from: at("2019-05-13T11:00:00Z"), to: at("2019-05-13T12:05:00Z") };
        assert_eq!(window(Span::Last(HOUR)), Some(last));
    }
}
