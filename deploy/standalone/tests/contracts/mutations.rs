//! Events with one field changed: to every kind of JSON value, to values on both sides of every
//! limit, and to random values.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::agreed;

const FIELDS: [&str; 7] =
    ["user_id", "player_id", "session_id", "event", "ts", "country", "what_nobody_knows"];

fn valid(kind: &str) -> Value {
    json!({ "user_id": "u1", "session_id": "s1", "event": kind, "ts": "2026-11-22T09:30:00Z", "country": "SK" })
}

/// A valid event of a kind with `field` changed. The alias `player_id` replaces `user_id`.
fn changed(kind: &str, field: &str, to: Value) -> Vec<u8> {
    let mut event = valid(kind);
    if field == "player_id" {
        event.as_object_mut().unwrap().remove("user_id");
    }
    event[field] = to;
    event.to_string().into_bytes()
}

fn every_kind() -> Vec<Value> {
    let values = json!([
        null, true, false, 0, -1, 7, 1.5, 1.0, -0.0, 1e300, u64::MAX, i64::MIN,
        1_795_339_800_123_i64, 253_402_300_799_999_i64, 253_402_300_800_000_i64,
        -62_135_596_800_000_i64, -62_135_596_800_001_i64, 253_402_300_800_000.0, 1_795_339_800_123.0,
        [], ["SK"], [null], {}, {"id": "a"}, {"user_id": "u1"},
        "", " ", "x", "start", "end", "Start", "end ", "SK", "(.uk)", "\u{a0}",
        "null", "NULL", "undefined", "[object Object]", "[object object]",
        "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
        "{00000000-0000-0000-0000-000000000000}", "{00000000000000000000000000000000}",
        "URN:uuid:00000000-0000-0000-0000-000000000000", "urn:uuid:{00000000-0000-0000-0000-000000000000}",
        "{00000000-0000-0000-0000-000000000000", "urn:uuid:", "00000000-0000-0000-0000-000000000001",
        "x".repeat(128), "x".repeat(129), "é".repeat(64), "é".repeat(65), "😀".repeat(32), "😀".repeat(33),
        "a\nb", "a\n", "a\u{0}", "\u{7f}", "\u{80}", "\u{9f}", "\u{a0}a", "a\u{2028}", "\u{feff}", "\u{ad}",
        "2026-11-22T09:30:00", "2026-11-22 09:30:00", "2026-11-22t09:30:00z", "2026-11-22T09:30:00.1234567Z",
        "2026-11-22T09:30:00.Z", "2026-11-22T09:30:00,5Z", "2026-11-22T09:30Z", "2026-11-22", "20261122T093000Z",
        "2026-11-22T24:00:00Z", "2026-11-22T09:60:00Z", "2026-11-22T09:30:61Z", "2026-11-22T09:30:60Z",
        "2026-11-22T23:59:60Z", "2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2000-02-29T00:00:00Z", "0000-02-29T00:00:00Z", "0000-12-31T23:59:59-23:59", "2026-04-31T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-11-22T09:30:00+24:00", "2026-11-22T09:30:00+23:59", "2026-11-22T09:30:00+01:60",
        "2026-11-22T09:30:00-00:00", "2026-11-22T09:30:00+0100", "2026-11-22T09:30:00+01", "2026-11-22T09:30:00 Z",
        " 2026-11-22T09:30:00Z", "2026-11-22T09:30:00Z\n", "+2026-11-22T09:30:00Z", "12026-11-22T09:30:00Z",
        "٢٠٢٦-11-22T09:30:00Z", "1795339800123",
    ]);
    [values.as_array().unwrap().as_slice(), &as_clients_print_them()].concat()
}

/// Ids and times near those that clients without an id, or in other languages, print.
fn as_clients_print_them() -> Vec<Value> {
    let values = json!([
        "None",
        "NIL",
        "nAn",
        "True",
        "false",
        " null",
        "null\u{a0}",
        "nul",
        "nullx",
        "n ull",
        "[object  object]",
        "\u{200b}",
        "\u{2800}",
        "\u{3164}\u{e0100}",
        "\u{1d173}NONE\u{fe0f}",
        "\u{200a}\u{202f}\u{205f}\u{3000}\u{1680}",
        "0",
        "guest",
        "anonymous",
        "u\u{200b}",
        "00000000-0000-0000-0000-000000000000 ",
        "\u{feff}{00000000000000000000000000000000}",
        "2026-11-22T09:30:00 UTC",
        "2026-11-22T09:30:00 utc",
        "2026-11-22 09:30+01",
        "2026-11-22T09:30",
        "2026-11-22T09:30 UTC",
        "2026-11-22T09:30:00+01:",
        "2026-11-22T09:30:00+010",
        "2026-11-22T09:30.5Z",
        "2026-11-22T09:30:Z",
        "2026-11-22T09:30:00[UTC]",
        "2026-11-22T09:30:00+2400",
        "2026-11-22T09:30:00+24",
        "2026-11-22T09:30:00-0160",
        "2026-11-22T24:00Z",
        "2026-11-22T09Z",
    ]);
    values.as_array().unwrap().clone()
}

#[test]
fn every_field_may_hold_every_kind_of_value_and_is_judged_alike() {
    let (mut accepted, mut rejected) = (0, 0);
    for kind in ["start", "end"] {
        for field in FIELDS {
            for value in every_kind() {
                *if agreed(&changed(kind, field, value)).is_ok() {
                    &mut accepted
                } else {
                    &mut rejected
                } += 1;
            }
        }
    }
    assert!(accepted > 300 && rejected > 300, "{accepted} accepted, {rejected} rejected");
}

#[test]
fn every_field_may_be_absent_and_is_judged_alike() {
    for kind in ["start", "end"] {
        for field in FIELDS {
            let mut event = valid(kind);
            event.as_object_mut().unwrap().remove(field);
            let needed = matches!(field, "user_id" | "session_id" | "event" | "ts");
            assert_eq!(agreed(event.to_string().as_bytes()).is_err(), needed, "{field}");
        }
    }
}

#[test]
fn whatever_both_names_of_the_user_hold_is_judged_alike() {
    for value in every_kind() {
        let mut event = valid("end");
        event["player_id"] = value;
        assert!(agreed(event.to_string().as_bytes()).is_err());
    }
}

#[test]
fn what_is_no_object_is_judged_alike() {
    for value in every_kind().into_iter().filter(|value| !value.is_object()) {
        assert_eq!(agreed(value.to_string().as_bytes()), Err("not_an_object"), "{value}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-300_000_000_000_000_i64..300_000_000_000_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        vec(any::<char>(), 0..8).prop_map(|text| Value::from(text.into_iter().collect::<String>())),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((select(FIELDS.to_vec()), inner), 0..3).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

/// Ids of about the maximum length, some with characters that are not allowed.
fn long_id() -> impl Strategy<Value = String> {
    let letter =
        prop_oneof![30 => Just('a'), 1 => select(vec!['é', '😀', '\u{7f}', '\u{85}', '\u{a0}'])];
    vec(letter, 115..132).prop_map(String::from_iter)
}

/// Times in an almost valid form, most of them on days at a limit.
fn near_time() -> impl Strategy<Value = String> {
    let days = [
        "0001-01-01",
        "0000-12-31",
        "9999-12-31",
        "2016-12-31",
        "1900-02-29",
        "2000-02-29",
        "1970-01-01",
    ];
    let day = prop_oneof![
        select(days.to_vec()).prop_map(str::to_owned),
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "[0-9]{4}-02-29"
    ];
    let clock = prop_oneof![
        "23:59:(59|60)",
        "[0-2][0-9]:59:60",
        "00:00:00",
        "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
        "[0-2][0-9]:[0-6][0-9]"
    ];
    (day, "[Tt ]", clock, "(\\.[0-9]{1,5})?", "([Zz]| UTC|[+-][0-2][0-9](:?[0-6][0-9])?)?")
        .prop_map(|(day, between, clock, fraction, zone)| {
            day + &between + &clock + &fraction + &zone
        })
}

/// A valid time with one character replaced.
fn broken_time() -> impl Strategy<Value = String> {
    let time = "2024-02-29T23:59:59.5+01:00";
    (0..time.len(), any::<char>()).prop_map(move |(at, letter)| {
        let letters = time.chars().enumerate();
        letters.map(|(index, kept)| if index == at { letter } else { kept }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_in_any_field_is_judged_alike(
        kind in select(vec!["start", "end"]), field in select(FIELDS.to_vec()), value in any_value(),
    ) {
        agreed(&changed(kind, field, value)).ok();
    }

    #[test]
    fn any_long_id_is_judged_alike(
        field in select(vec!["user_id", "player_id", "session_id"]), id in long_id(),
    ) {
        agreed(&changed("end", field, id.into())).ok();
    }

    #[test]
    fn any_text_that_is_nearly_a_time_is_judged_alike(ts in prop_oneof![near_time(), broken_time()]) {
        agreed(&changed("end", "ts", ts.into())).ok();
    }
}
