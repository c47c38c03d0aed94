//! The formats of times, compared with another parser.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use proptest::prelude::*;
use shared::timestamp::Timestamp;

fn millis(text: &str) -> Option<i64> {
    Timestamp::parse(text).map(Timestamp::millis)
}

fn spelled(millis: i64) -> Option<String> {
    Timestamp::from_millis(millis).map(|at| at.to_string())
}

#[test]
fn every_form_of_a_date_time_is_read() {
    let noon = 1_557_748_800_000;
    let forms = [
        ("2019-05-13T12:00:00Z", noon),
        ("2019-05-13T12:00:00", noon),
        ("2019-05-13 12:00:00", noon),
        ("2019-05-13t12:00:00z", noon),
        ("2019-05-13T14:00:00+02:00", noon),
        ("2019-05-13 06:30:00-05:30", noon),
        ("2019-05-13T12:00:00-00:00", noon),
        ("2019-05-14T11:59:00+23:59", noon),
        ("2019-05-13T12:00:00.5Z", noon + 500),
        ("2019-05-13T12:00:00.05", noon + 50),
        ("2019-05-13T14:00:00.123456789012345678901234567890+02:00", noon + 123),
        ("1970-01-01T00:00:00Z", 0),
        ("2016-02-29T00:00:00Z", 1_456_704_000_000),
        // Java prints no seconds on a full minute.
        ("2019-05-13T12:00Z", noon),
        ("2019-05-13T12:00", noon),
        ("2019-05-13 14:00+02", noon),
        ("2019-05-13T12:00:00.000+0000", noon),
        ("2019-05-13T14:00:00+0200", noon),
        ("2019-05-13T06:30-0530", noon),
        // PostgreSQL, BigQuery.
        ("2019-05-13 12:00:00+00", noon),
        ("2019-05-13 14:00:00.25+02", noon + 250),
        ("2019-05-13 12:00:00 UTC", noon),
        ("2019-05-13T12:00 UTC", noon),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
    ];
    for (text, expected) in forms {
        assert_eq!(millis(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_finer_than_a_millisecond_is_cut_before_1970_too() {
    assert_eq!(millis("2019-05-13T12:00:00.9999Z"), Some(1_557_748_800_999));
    assert_eq!(millis("1969-12-31T23:59:59.9999Z"), Some(-1));
    assert_eq!(millis("1969-12-31T23:59:59.0009Z"), Some(-1_000));
    assert_eq!(millis("1970-01-01T00:59:59.9999+01:00"), Some(-1));
}

#[test]
fn other_forms_of_iso_8601_are_not_read() {
    let forms = [
        "",
        "2019",
        "2019-05",
        "2019-05-13",
        "20190513T120000Z",
        "2019-W20-1T12:00:00Z",
        "2019-133T12:00:00Z",
        "2019-05-13T12Z",
        "2019-05-13T12",
        "2019-05-13T12:0Z",
        "2019-05-13T12:00:Z",
        "2019-05-13T12:00:0Z",
        "2019-05-13T12:00.5Z",
        "2019-05-13T12:00:00+2",
        "2019-05-13T12:00:00+020",
        "2019-05-13T12:00:00+02000",
        "2019-05-13T12:00:00+02:",
        "2019-05-13T12:00:00  UTC",
        "2019-05-13T12:00:00 utc",
        "2019-05-13T12:00:00 GMT",
        "2019-05-13T12:00:00 CET",
        "2019-05-13T12:00:00Z UTC",
        "2019-05-13T12:00:00[Europe/Berlin]",
        "2019-05-13T12:00:00Z[UTC]",
        "2019-05-13T12:00:00,5Z",
        "2019-05-13T12:00:00.Z",
        "2019-05-13T24:00:00Z",
        "2019-05-13T12:00:00 Z",
        "2019-05-13T12:00:00UTC",
        "2019-05-13_12:00:00Z",
        "+02019-05-13T12:00:00Z",
        "-0001-05-13T12:00:00Z",
        "12019-05-13T12:00:00Z",
        "2019-5-13T12:00:00Z",
        " 2019-05-13T12:00:00Z",
        "2019-05-13T12:00:00Z ",
        "2019-05-13  12:00:00",
        "2019-05-13T12:00:00ZZ",
        "1557748800000",
        "2019-05-13T12:00:00+2:00",
        "2019-05-13T12:00:00\u{2212}02:00",
        "2019-05-13T12:00:00+02:00Z",
        "２019-05-13T12:00:00Z",
    ];
    for text in forms {
        assert_eq!(millis(text), None, "{text}");
    }
}

#[test]
fn a_date_or_time_that_does_not_exist_is_not_read() {
    let times = [
        "2019-00-13T12:00:00Z",
        "2019-13-13T12:00:00Z",
        "2019-05-00T12:00:00Z",
        "2019-05-32T12:00:00Z",
        "2019-04-31T12:00:00Z",
        "2019-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2019-05-13T25:00:00Z",
        "2019-05-13T12:60:00Z",
        "2019-05-13T12:00:61Z",
        "2019-05-13T12:60Z",
        "2019-05-13T24:00Z",
        "2019-05-13T12:00:00+24:00",
        "2019-05-13T12:00:00+24",
        "2019-05-13T12:00:00+0060",
        "2019-05-13T12:00:00+00:60",
    ];
    for text in times {
        assert_eq!(millis(text), None, "{text}");
    }
}

#[test]
fn only_the_years_1_to_9999_are_read_with_the_zone_applied() {
    assert_eq!(Timestamp::parse("0001-01-01T00:00:00Z"), Some(Timestamp::MIN));
    assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999Z"), Some(Timestamp::MAX));
    assert_eq!(Timestamp::parse("9999-12-31T22:59:59.9999-01:00"), Some(Timestamp::MAX));
    let outside = [
        "0000-12-31T23:59:59Z",
        "0000-12-31T23:30:00-01:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ];
    assert_eq!(outside.map(millis), [None; 4]);
}

#[test]
fn a_leap_second_before_midnight_utc_is_the_first_second_of_the_next_day() {
    assert_eq!(millis("2016-12-31T23:59:60Z"), millis("2017-01-01T00:00:00Z"));
    assert_eq!(millis("2016-12-31T23:59:60.5Z"), millis("2017-01-01T00:00:00.5Z"));
    assert_eq!(millis("2017-01-01T08:59:60+09:00"), millis("2017-01-01T00:00:00Z"));
    assert_eq!(
        ["2016-12-31T22:59:60Z", "2017-01-01T23:59:60+09:00", "9999-12-31T23:59:60Z"].map(millis),
        [None; 3]
    );
}

#[test]
fn milliseconds_are_spelled_only_when_they_are_not_zero() {
    assert_eq!(spelled(0).as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(spelled(-1).as_deref(), Some("1969-12-31T23:59:59.999Z"));
    assert_eq!(spelled(1_557_748_800_010).as_deref(), Some("2019-05-13T12:00:00.010Z"));
    assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    assert_eq!(serde_json::to_string(&Timestamp::MAX).unwrap(), "\"9999-12-31T23:59:59.999Z\"");
    assert_eq!(format!("{:>22}", Timestamp::default()), "  1970-01-01T00:00:00Z");
}

#[test]
fn every_day_of_400_years_is_spelled_as_another_calendar_spells_it() {
    for day in -100_000..=46_200_i64 {
        let (ours, theirs) =
            (spelled(day * 86_400_000), DateTime::from_timestamp_millis(day * 86_400_000));
        assert_eq!(ours, theirs.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        assert_eq!(ours.and_then(|text| millis(&text)), Some(day * 86_400_000));
    }
}

#[test]
fn a_text_that_is_no_time_says_what_is_wanted() {
    let error = "yesterday".parse::<Timestamp>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an RFC 3339 time in the years 1 to 9999, such as 2019-05-13T12:00:00Z"
    );
    assert_eq!("1970-01-01T00:00:00Z".parse(), Ok(Timestamp::default()));
}

proptest! {
    #[test]
    fn what_is_spelled_is_read_back(millis in Timestamp::MIN.millis()..=Timestamp::MAX.millis()) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(at.and_then(|at| Timestamp::parse(&at.to_string())), at);
    }

    #[test]
    fn valid_rfc_3339_is_read_as_chrono_reads_it(
        millis in Timestamp::MIN.millis()..=Timestamp::MAX.millis(), nanos in 0..1_000_000_i64, offset in -1_439..1_440, digits in 0..4,
    ) {
        let at = DateTime::from_timestamp_millis(millis).unwrap_or_default() + chrono::Duration::nanoseconds(nanos);
        let Some(zone) = FixedOffset::east_opt(offset * 60) else { return Ok(()) };
        let format = [SecondsFormat::Secs, SecondsFormat::Millis, SecondsFormat::Micros, SecondsFormat::Nanos];
        let text = at.with_timezone(&zone).to_rfc3339_opts(format[digits as usize], true);
        // If the zone moves the local year out of four digits, the text is not RFC 3339.
        prop_assume!(text.len() >= 20 && text.as_bytes()[4] == b'-' && !text.starts_with("0000"));
        let theirs = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_millis());
        prop_assert_eq!(Timestamp::parse(&text).map(Timestamp::millis), theirs, "{}", text);
    }

    #[test]
    fn what_looks_like_a_time_is_read_only_where_chrono_reads_it_too(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-6][0-9])") {
        prop_assume!(!text.starts_with("0000"));
        let theirs = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_millis());
        let within = theirs.and_then(Timestamp::from_millis);
        prop_assert_eq!(Timestamp::parse(&text), within, "{}", text);
    }

    #[test]
    fn the_shorter_forms_are_the_same_instants(
        day in "(1969|2019|2024)-0[1-9]-[0-2][1-8]", minute in "[01][0-9]:[0-5][0-9]", sign in "[+-]", zone in "[01][0-9]",
    ) {
        let long = format!("{day}T{minute}:00{sign}{zone}:00");
        let expected = Timestamp::parse(&long);
        prop_assert!(expected.is_some(), "{}", long);
        for short in [
            format!("{day} {minute}{sign}{zone}"),
            format!("{day}t{minute}{sign}{zone}00"),
            format!("{day}T{minute}:00.000{sign}{zone}00"),
        ] {
            prop_assert_eq!(Timestamp::parse(&short), expected, "{}", short);
        }
    }

    #[test]
    fn no_text_panics(text in "(.{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,20}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}[:.,+\\-0-9 ]{0,12})") {
        prop_assert_eq!(Timestamp::parse(&text).is_some(), text.parse::<Timestamp>().is_ok());
        prop_assert!(!Timestamp::fault(&text).is_empty());
    }
}
