//! The invalid lines of the hostile profile.

use serde_json::{Value, json};
use shared::timestamp::{DAY, MARGIN, RETENTION, Timestamp};

use super::{
    ingredient::{Extra, Ingredient},
    spelling::{Event, set},
};

/// The age of an event that is certainly expired, before the end of the data set.
const EXPIRED: i64 = RETENTION + MARGIN + 34 * DAY;
/// The time after the end of the data set at which an event is certainly in the future.
const FUTURE: i64 = 30 * DAY;
/// Placeholders that programs write if they have no id.
const JUNK: [&str; 4] =
    ["null", "undefined", "[object Object]", "00000000-0000-0000-0000-000000000000"];

/// Texts that are not a time in a supported format.
const BAD_TS: [&str; 7] = [
    "yesterday",
    "2016-13-02T15:00:00",
    "2015-02-29T15:00:00Z",
    "2016-W48-5",
    "20161202T150000Z",
    "1480690800000",
    "2016-12-02",
];

/// Appends `event` with the fault of `extra` to `out`. The data set ends at `ending_at`.
pub(super) fn write(ending_at: Timestamp, event: &Event, extra: Extra, out: &mut Vec<u8>) {
    let mut fields = event.fields();
    let form = extra.salt as usize / 2;
    if write_broken(event, extra.ingredient, form, out) {
        return;
    }
    match extra.ingredient {
        Ingredient::DuplicateKey => {
            let twice = pick(&fields, form).clone();
            fields.push(twice);
        }
        Ingredient::AliasTwice => fields.push(("player_id", json!(event.user))),
        Ingredient::ConflictingUsers => fields.push(("player_id", json!(format!("not {form}")))),
        Ingredient::MissingUser => nothing(&mut fields, "user_id", form),
        Ingredient::MissingSession => nothing(&mut fields, "session_id", form),
        Ingredient::MissingEvent => nothing(&mut fields, "event", form),
        Ingredient::MissingTs => nothing(&mut fields, "ts", form),
        Ingredient::JunkUser => set(&mut fields, "user_id", json!(pick(&JUNK, form))),
        Ingredient::JunkSession => set(&mut fields, "session_id", json!(pick(&JUNK, form))),
        Ingredient::UserOfAnotherType => set(&mut fields, "user_id", another_type(form)),
        Ingredient::SessionOfAnotherType => set(&mut fields, "session_id", another_type(form)),
        Ingredient::LongUser => set(&mut fields, "user_id", json!("é".repeat(64) + "x")),
        Ingredient::HugeSession => set(&mut fields, "session_id", json!("x".repeat(5_000))),
        Ingredient::ControlCharacter => {
            let control = pick(&['\0', '\n', '\t', '\u{7f}', '\u{85}'], form);
            set(&mut fields, "user_id", json!(format!("a{control}b")));
        }
        Ingredient::UnknownEvent => set(
            &mut fields,
            "event",
            pick(&[json!("pause"), json!("starts"), json!(1), json!([])], form).clone(),
        ),
        Ingredient::BadTs => set(&mut fields, "ts", json!(pick(&BAD_TS, form))),
        Ingredient::TsOfAnotherType => {
            set(
                &mut fields,
                "ts",
                pick(&[json!(1_480_690_800_000.5), json!(true), json!([]), json!({})], form)
                    .clone(),
            );
        }
        Ingredient::CountryOfAnotherType => {
            // An end ignores its country, so this is always a start.
            fields = Event { end: false, ..event.clone() }.fields();
            set(&mut fields, "country", another_type(form));
        }
        Ingredient::Expired => set(&mut fields, "ts", json!(ending_at - EXPIRED)),
        Ingredient::Future => set(&mut fields, "ts", json!(ending_at + FUTURE)),
        // `super::hostile` writes the valid ingredients.
        _ => {}
    }
    event.write(&fields, out);
}

/// Appends a line that is not one JSON object with the text of an event. Returns false if the fault
/// is in the fields.
fn write_broken(event: &Event, ingredient: Ingredient, form: usize, out: &mut Vec<u8>) -> bool {
    match ingredient {
        Ingredient::BrokenJson => {
            event.write(&event.fields(), out);
            // Cuts off at least the last brace.
            let whole = out.len();
            out.truncate(whole - 1 - form % 40);
            while std::str::from_utf8(out).is_err() {
                out.pop();
            }
        }
        Ingredient::TrailingGarbage => {
            event.write(&event.fields(), out);
            out.extend_from_slice(pick(&["}", " {}", ",", " x"], form).as_bytes());
        }
        Ingredient::Array => {
            out.push(b'[');
            event.write(&event.fields(), out);
            out.push(b']');
        }
        Ingredient::Scalar => {
            out.extend_from_slice(
                pick(&["42", "\"start\"", "null", "true", "-0.5e3"], form).as_bytes(),
            );
        }
        Ingredient::InvalidUtf8 => {
            event.write(&event.fields(), out);
            let position = out.len() - 2;
            out.insert(position, 0xff);
        }
        Ingredient::LoneSurrogate => {
            event.write(&event.fields(), out);
            let position = out.len() - 2;
            drop(out.splice(position..position, *b"\\ud800"));
        }
        Ingredient::DeepNesting => out.resize(out.len() + 10_000, b'['),
        _ => return false,
    }
    true
}

fn pick<T>(forms: &[T], form: usize) -> &T {
    &forms[form % forms.len()]
}

fn another_type(form: usize) -> Value {
    pick(&[json!(7), json!(true), json!(["a"]), json!({"id": "a"}), json!(0.5)], form).clone()
}

/// Removes the field, or sets it to `null` or the empty string.
fn nothing(fields: &mut Vec<(&'static str, Value)>, key: &str, form: usize) {
    match form % 3 {
        0 => fields.retain(|(name, _)| *name != key),
        1 => set(fields, key, Value::Null),
        _ => set(fields, key, json!("")),
    }
}
