//! The rules of an event that JSON Schema cannot express, except for those of time. The `$comment`
//! of the schema describes the same rules in words.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{agreed, parsed};

const KNOWN: [&str; 6] = ["user_id", "player_id", "session_id", "event", "ts", "country"];
const MINUTES_IN_A_DAY: i32 = 24 * 60;

/// The keys and values of an object in their original notation, including repeated keys.
struct Written(Vec<(String, Box<RawValue>)>);

/// The code with which the parser rejects an event that the schema accepts, if it does.
pub(crate) fn of(text: &[u8]) -> Option<&'static str> {
    let Written(fields) = serde_json::from_slice(text).unwrap();
    let times = |key: &str| fields.iter().filter(|(name, _)| name == key).count();
    if KNOWN.iter().any(|key| times(key) > 1) {
        return Some("duplicate_key");
    }
    fields.iter().find_map(|(key, value)| {
        let (written, text) = (value.get(), serde_json::from_str::<String>(value.get()).ok());
        let long = text.as_ref().is_some_and(|text| text.len() > 128);
        match key.as_str() {
            "user_id" | "player_id" => long.then_some("invalid_user_id"),
            "session_id" => long.then_some("invalid_session_id"),
            "ts" => text
                .map_or_else(|| written.contains(['.', 'e', 'E']), |text| is_nowhere(&text))
                .then_some("invalid_ts"),
            _ => None,
        }
    })
}

/// Whether a well-formed time is not a valid instant: its second of 60 is not the one before
/// midnight UTC, or it is outside the years 1 to 9999.
fn is_nowhere(text: &str) -> bool {
    let number = |text: &str| text.parse::<i32>().unwrap();
    let minutes = |text: &str| number(&text[..2]) * 60 + number(&text[3..5]);
    // After the date, only an offset has a sign.
    let (_, zone) = text[10..].split_once(['+', '-']).unwrap_or(("", "0000"));
    let zone = format!("{:0<4}", zone.replace(':', ""));
    let ahead = number(&zone[..2]) * 60 + number(&zone[2..]);
    let ahead = if text[10..].contains('-') { -ahead } else { ahead };
    let leap = text.get(16..19) == Some(":60");
    let minute = minutes(&text[11..16]) - ahead + i32::from(leap);
    leap && minute.rem_euclid(MINUTES_IN_A_DAY) != 0
        || text.starts_with("0001-01-01") && minute < 0
        || text.starts_with("9999-12-31") && minute >= MINUTES_IN_A_DAY
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Written(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// An end of `u1`, with `rest` as its last fields.
fn end(rest: &str) -> Vec<u8> {
    format!(r#"{{"user_id":"u1","session_id":"s1","event":"end",{rest}}}"#).into_bytes()
}

#[test]
fn each_thing_that_the_schema_cannot_say_is_seen_by_the_parser() {
    let long = "é".repeat(65);
    for (text, code) in [
        (end(r#""ts":0,"ts":0"#), "duplicate_key"),
        (end(r#""ts":0,"country":"SK","country":"SK""#), "duplicate_key"),
        (end(r#""ts":1.0"#), "invalid_ts"),
        (end(r#""ts":1e3"#), "invalid_ts"),
        (end(r#""ts":"2016-12-31T23:59:60+01:00""#), "invalid_ts"),
        (end(r#""ts":"2016-12-31T12:00:60Z""#), "invalid_ts"),
        (end(r#""ts":"0001-01-01T00:00:00+00:01""#), "invalid_ts"),
        (end(r#""ts":"0001-01-01 00:00+0001""#), "invalid_ts"),
        (end(r#""ts":"9999-12-31 23:59-01""#), "invalid_ts"),
        (end(r#""ts":"2016-12-31T12:00:60 UTC""#), "invalid_ts"),
        (end(r#""ts":"9999-12-31T23:59:59-00:01""#), "invalid_ts"),
        (end(r#""ts":"9999-12-31T23:59:60Z""#), "invalid_ts"),
        (
            format!(r#"{{"user_id":"{long}","session_id":"s1","event":"end","ts":0}}"#)
                .into_bytes(),
            "invalid_user_id",
        ),
        (
            format!(r#"{{"user_id":"u1","session_id":"{long}","event":"end","ts":0}}"#)
                .into_bytes(),
            "invalid_session_id",
        ),
    ] {
        assert_eq!(of(&text), Some(code));
        assert_eq!(agreed(&text), Err(code));
    }
}

#[test]
fn what_looks_like_it_and_is_good_is_taken() {
    for rest in [
        r#""ts":-0"#,
        r#""ts":0,"x":1.0,"x":2"#,
        r#""ts":"2017-01-01T00:59:60+01:00""#,
        r#""ts":"2016-12-31T23:59:60.5""#,
        r#""ts":"2016-12-31T23:59:60 UTC""#,
        r#""ts":"2017-01-01T01:59:60+02""#,
        r#""ts":"0001-01-01T00:00:00-00:01""#,
        r#""ts":"0001-01-01T00:00-0001""#,
        r#""ts":"9999-12-31T23:59:59.999999+00:01""#,
    ] {
        assert_eq!(agreed(&end(rest)), Ok(()), "{rest}");
    }
}

#[test]
fn half_of_a_surrogate_pair_and_a_number_beyond_every_range_are_no_values_a_schema_could_see() {
    for (rest, said) in [
        (r#""ts":0,"x":"\ud800""#, Ok(())),
        (r#""ts":0,"\ud800":1"#, Ok(())),
        (r#""ts":0,"x":1e999"#, Ok(())),
        (r#""ts":1e999"#, Err("invalid_ts")),
        (r#""ts":"\ud800""#, Err("invalid_ts")),
    ] {
        let text = end(rest);
        assert!(serde_json::from_slice::<serde_json::Value>(&text).is_err());
        assert_eq!(parsed(&text), said, "{rest}");
    }
}
