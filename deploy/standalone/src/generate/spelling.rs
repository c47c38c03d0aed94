//! The spellings of valid events in the hostile profile.

use serde_json::{Value, json};
use shared::timestamp::{MINUTE, Timestamp};

use super::ingredient::Ingredient;

/// One valid event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) user: String,
    pub(super) session: String,
    pub(super) end: bool,
    pub(super) at: Timestamp,
    pub(super) country: String,
}

impl Event {
    /// Returns the fields in the order and spelling of the original.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("user_id", json!(self.user)), ("country", json!(self.country))];
        if self.end {
            fields.pop();
        }
        let kind = if self.end { "end" } else { "start" };
        fields.extend([
            ("event", json!(kind)),
            ("session_id", json!(self.session)),
            ("ts", json!(zoneless(self.at))),
        ]);
        fields
    }

    /// Appends `fields` as one object to `out`. Keys may repeat, unlike in a `serde_json::Value`.
    pub(super) fn write(&self, fields: &[(&str, Value)], out: &mut Vec<u8>) {
        let inner: Vec<_> =
            fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        out.extend_from_slice(format!("{{{}}}", inner.join(",")).as_bytes());
    }

    /// Appends this event to `out` in the given spelling.
    pub(super) fn spelled(&self, spelling: Ingredient, out: &mut Vec<u8>) {
        let mut fields = self.fields();
        let country = &self.country;
        match spelling {
            Ingredient::Alias => fields[0].0 = "player_id",
            Ingredient::EpochMillis => set(&mut fields, "ts", json!(self.at.millis())),
            Ingredient::Offset => {
                let local = zoneless(self.at + 330 * MINUTE);
                set(&mut fields, "ts", json!(format!("{local}+05:30")));
            }
            Ingredient::Fraction => {
                set(&mut fields, "ts", json!(format!("{}.0009999Z", zoneless(self.at))))
            }
            Ingredient::Zulu => set(&mut fields, "ts", json!(self.at)),
            Ingredient::BlankForT => {
                set(&mut fields, "ts", json!(zoneless(self.at).replace('T', " ")))
            }
            Ingredient::LowerCountry => set(&mut fields, "country", json!(country.to_lowercase())),
            Ingredient::DirtyCountry => {
                set(&mut fields, "country", json!(format!("\t (.{country})\u{a0}")))
            }
            Ingredient::MissingCountry => fields.retain(|(key, _)| *key != "country"),
            Ingredient::NullCountry => set(&mut fields, "country", Value::Null),
            Ingredient::EmptyCountry => set(&mut fields, "country", json!("")),
            Ingredient::LongCountry => {
                set(&mut fields, "country", json!(format!("The Federated Republic of {country}")))
            }
            Ingredient::UnicodeCountry => {
                set(&mut fields, "country", json!(format!("Österreich {country}")))
            }
            Ingredient::CountryOnEnd if self.end => fields.push(("country", json!(["SK", 7]))),
            Ingredient::UnknownFields => fields.extend([
                ("country_code", json!(7)),
                ("USER_ID", json!("somebody")),
                ("", Value::Null),
                ("context", json!({"session_id": {}, "user_id": [1.5, {"ts": false}]})),
            ]),
            Ingredient::Spacious => return write_spacious(&fields, out),
            Ingredient::Escaped => return write_escaped(&fields, out),
            _ => {}
        }
        self.write(&fields, out);
    }
}

/// Returns `at` as in the original: without a zone, which means UTC.
fn zoneless(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').to_owned()
}

/// Sets every field named `key`.
pub(super) fn set(fields: &mut [(&'static str, Value)], key: &str, to: Value) {
    fields.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, value)| *value = to.clone());
}

/// Writes the fields in reverse order, with blanks between all tokens.
fn write_spacious(fields: &[(&str, Value)], out: &mut Vec<u8>) {
    let fields = fields.iter().rev();
    let inner: Vec<_> = fields.map(|(key, value)| format!(" \"{key}\"\t:  {value} ")).collect();
    out.extend_from_slice(format!(" {{{}}} \r", inner.join(",")).as_bytes());
}

/// Writes keys and strings as escapes.
fn write_escaped(fields: &[(&str, Value)], out: &mut Vec<u8>) {
    let fields = fields.iter();
    let inner: Vec<_> =
        fields.map(|(key, value)| format!("{}:{}", escaped(key), escaped_value(value))).collect();
    out.extend_from_slice(format!("{{{}}}", inner.join(",")).as_bytes());
}

/// Returns `text` as a JSON string of escapes.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{units}\"")
}

fn escaped_value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), escaped)
}
