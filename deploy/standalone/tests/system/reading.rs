//! Parses a line by the specification alone, with other libraries than the service.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::Value;

const YEAR: i64 = 365 * 86_400_000;
const FUTURE_TOLERANCE: i64 = 5 * 60_000;
const KEYS: [&str; 5] = ["user_id", "session_id", "event", "ts", "country"];

/// One event, with its time in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) user: String,
    pub(crate) session: String,
    pub(crate) fact: Fact,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    Start(i64, String),
    End(i64),
}

/// The expected result of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Event(Event),
    Discarded,
    Rejected,
}

/// The keys and values of an object in order, including repeated keys.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Parses `line` like a service whose clock shows `now`.
pub(crate) fn read(line: &[u8], now: i64) -> Line {
    let Some(event) = event(line) else { return Line::Rejected };
    let (Fact::Start(ts, _) | Fact::End(ts)) = event.fact;
    if ts > now + FUTURE_TOLERANCE {
        Line::Rejected
    } else if ts < now - YEAR {
        Line::Discarded
    } else {
        Line::Event(event)
    }
}

/// The events among `lines`.
pub(crate) fn events(lines: &[Vec<u8>], now: i64) -> Vec<Event> {
    let event = |line: &Vec<u8>| match read(line, now) {
        Line::Event(event) => Some(event),
        Line::Discarded | Line::Rejected => None,
    };
    lines.iter().filter_map(event).collect()
}

fn event(line: &[u8]) -> Option<Event> {
    let Pairs(pairs) = serde_json::from_slice(line).ok()?;
    let mut values = [const { None }; KEYS.len()];
    for (key, value) in pairs {
        let key = if key == "player_id" { "user_id" } else { &key };
        let Some(at) = KEYS.iter().position(|known| *known == key) else { continue };
        if values[at].replace(value).is_some() {
            return None;
        }
    }
    let [user, session, kind, ts, country] = values.map(Option::unwrap_or_default);
    let fact = match kind.as_str()? {
        "start" => Fact::Start(instant(&ts)?, normalised(&country)?),
        "end" => Fact::End(instant(&ts)?),
        _ => return None,
    };
    Some(Event { user: id(&user)?, session: id(&session)?, fact })
}

fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let junk = ["null", "undefined", "[object Object]", "00000000-0000-0000-0000-000000000000"];
    let good = (1..=128).contains(&text.len())
        && !text.chars().any(char::is_control)
        && !junk.contains(&text);
    good.then(|| text.to_owned())
}

fn instant(value: &Value) -> Option<i64> {
    let Some(text) = value.as_str() else { return value.as_i64() };
    let text = text.replacen(' ', "T", 1);
    let zoned = DateTime::parse_from_rfc3339(&text).map(|at| at.timestamp_millis());
    zoned.or_else(|_| millis(NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f"))).ok()
}

fn millis(read: chrono::ParseResult<NaiveDateTime>) -> chrono::ParseResult<i64> {
    Ok(read?.and_utc().timestamp_millis())
}

fn normalised(country: &Value) -> Option<String> {
    let text = match country {
        Value::Null => "",
        Value::String(text) => text,
        _ => return None,
    };
    let letters: String = text
        .chars()
        .flat_map(char::to_uppercase)
        .filter(|letter| letter.is_alphanumeric())
        .take(16)
        .collect();
    Some(if letters.is_empty() { "ZZ".to_owned() } else { letters })
}

/// Returns the milliseconds since the epoch of a time in RFC 3339.
pub(crate) fn instant_of(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// Formats a time like replies do: in UTC with `Z`, with milliseconds only if they are not 0.
pub(crate) fn spelled(millis: i64) -> String {
    let format = if millis % 1_000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339_opts(format, true)
}
