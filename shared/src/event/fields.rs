//! From the JSON values of an element's known keys to an event, or to the first fault among them.
//!
//! The faults are looked for in the order `user_id`, `session_id`, `event`, `ts`, `country`; within one field a key that came
//! more than once goes before a missing value, and that before an invalid one.

use std::borrow::Cow;

use super::{
    Country, Rejection, RejectionCode, SessionEvent, SessionId, UserId, id, rejection::shown,
};
use crate::timestamp::Timestamp;

/// What an element says under the known keys; the values are still JSON.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) user: UserField<'a>,
    pub(super) session: Field<'a>,
    pub(super) event: Field<'a>,
    pub(super) ts: Field<'a>,
    pub(super) country: Field<'a>,
}

/// One key's value, as it came first.
#[derive(Default)]
pub(super) struct Field<'a> {
    json: Option<&'a str>,
    repeated: bool,
}

/// The one field with two keys.
///
/// A known key twice is a `duplicate_key` whatever the values. The alias and its key at once say the same thing twice too, and
/// are a `duplicate_key` while the values agree; where any of them differ nobody can tell whose event it is, and that
/// is the worse fault: `conflicting_user_id`. A `null` differs from a text.
#[derive(Default)]
pub(super) struct UserField<'a> {
    pub(super) field: Field<'a>,
    by_key: bool,
    by_alias: bool,
    differs: bool,
}

/// A field's value, decoded as far as its type.
enum Value<'a> {
    /// Absent, `null` or `""`.
    Missing,
    Text(Cow<'a, str>),
    /// As it was spelled.
    Number(&'a str),
    /// Another type, or a string that spells no text, in words for the client.
    Other(&'static str),
}

impl<'a> Field<'a> {
    pub(super) fn put(&mut self, json: &'a str) {
        self.repeated = self.json.is_some();
        self.json = self.json.or(Some(json));
    }

    /// The value, unless the key came more than once.
    fn once(&self, name: &str) -> Result<Value<'a>, Rejection> {
        if self.repeated {
            return Err(Rejection::new(
                RejectionCode::DuplicateKey,
                format!("`{name}` is given more than once"),
            ));
        }
        Ok(self.json.map_or(Value::Missing, Value::read))
    }

    /// The value, which must be a text that is not empty.
    fn text(
        &self,
        name: &str,
        missing: RejectionCode,
        invalid: RejectionCode,
    ) -> Result<Cow<'a, str>, Rejection> {
        match self.once(name)? {
            Value::Text(text) => Ok(text),
            Value::Missing => Err(absent(name, missing)),
            Value::Number(_) => Err(not_a_string(name, invalid, "a number")),
            Value::Other(kind) => Err(not_a_string(name, invalid, kind)),
        }
    }
}

impl<'a> UserField<'a> {
    pub(super) fn put(&mut self, json: &'a str, alias: bool) {
        self.by_key |= !alias;
        self.by_alias |= alias;
        self.differs |= self.field.json.is_some_and(|first| !same(first, json));
        self.field.put(json);
    }
}

impl<'a> Value<'a> {
    /// Reads valid JSON. A string is copied only where an escape makes it necessary.
    fn read(json: &'a str) -> Self {
        match json.as_bytes() {
            [b'"', b'"'] => Self::Missing,
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Self::Text(Cow::Borrowed(&json[1..=text.len()]))
            }
            // The escapes of half a surrogate pair are valid JSON, and spell no text.
            [b'"', ..] => match serde_json::from_str(json) {
                Ok(text) => Self::Text(Cow::Owned(text)),
                Err(_) => Self::Other("half of a surrogate pair"),
            },
            [b'n', ..] => Self::Missing,
            [b't' | b'f', ..] => Self::Other("a boolean"),
            [b'{', ..] => Self::Other("an object"),
            [b'[', ..] => Self::Other("an array"),
            _ => Self::Number(json),
        }
    }
}

impl Fields<'_> {
    /// The event that the fields make.
    pub(super) fn into_event(self) -> Result<SessionEvent, Rejection> {
        use RejectionCode as Code;
        if self.user.by_key && self.user.by_alias && self.user.differs {
            return Err(Rejection::new(
                Code::ConflictingUserId,
                "`user_id` and `player_id` are given and differ",
            ));
        }
        let user = self.user.field.text("user_id", Code::MissingUserId, Code::InvalidUserId)?;
        let user =
            UserId::new(&user).ok_or_else(|| not_an_id("user_id", Code::InvalidUserId, &user))?;
        let session =
            self.session.text("session_id", Code::MissingSessionId, Code::InvalidSessionId)?;
        let session = SessionId::new(&session)
            .ok_or_else(|| not_an_id("session_id", Code::InvalidSessionId, &session))?;
        let event = self.event.text("event", Code::MissingEvent, Code::InvalidEvent)?;
        let start = match &*event {
            "start" => true,
            "end" => false,
            other => {
                let detail =
                    format!("`event` must be \"start\" or \"end\", not \"{}\"", shown(other));
                return Err(Rejection::new(Code::InvalidEvent, detail));
            }
        };
        let ts = timestamp(&self.ts)?;
        let country = self.country.once("country")?;
        Ok(if start {
            SessionEvent::Start { user, session, ts, country: normalised(country)? }
        } else {
            // An end's country is not looked at; that its key must not come twice is a rule about the object.
            SessionEvent::End { user, session, ts }
        })
    }
}

fn timestamp(field: &Field<'_>) -> Result<Timestamp, Rejection> {
    let invalid = |detail: String| Rejection::new(RejectionCode::InvalidTs, detail);
    match field.once("ts")? {
        Value::Missing => Err(absent("ts", RejectionCode::MissingTs)),
        Value::Text(text) => Timestamp::parse(&text).ok_or_else(|| {
            invalid(format!("`ts` must be a time such as 2019-05-13T12:00:00Z, not \"{}\"", shown(&text)))
        }),
        // A fraction or an exponent is no integer's spelling, so `1e3` and `1.0` are refused here too.
        Value::Number(number) => number.parse().ok().and_then(Timestamp::from_millis).ok_or_else(|| {
            invalid(format!(
                "`ts` as a number must be whole milliseconds since 1970 in the years 1 to 9999, not {}",
                shown(number)
            ))
        }),
        Value::Other(kind) => Err(invalid(format!("`ts` must be a string or an integer, not {kind}"))),
    }
}

fn normalised(country: Value<'_>) -> Result<Country, Rejection> {
    let invalid = |kind| Err(not_a_string("country", RejectionCode::InvalidCountry, kind));
    match country {
        Value::Missing => Ok(Country::unknown()),
        Value::Text(text) => Ok(Country::normalise(&text)),
        Value::Number(_) => invalid("a number"),
        Value::Other(kind) => invalid(kind),
    }
}

/// Whether two JSON values are the same text, or else spelled the same.
fn same(one: &str, other: &str) -> bool {
    one == other
        || matches!((Value::read(one), Value::read(other)), (Value::Text(one), Value::Text(other)) if one == other)
}

fn absent(name: &str, code: RejectionCode) -> Rejection {
    Rejection::new(code, format!("`{name}` is absent, null or empty"))
}

fn not_a_string(name: &str, code: RejectionCode, kind: &str) -> Rejection {
    Rejection::new(code, format!("`{name}` must be a string, not {kind}"))
}

fn not_an_id(name: &str, code: RejectionCode, text: &str) -> Rejection {
    let fault = id::fault(text).unwrap_or("is not an id");
    Rejection::new(code, format!("`{name}` {fault}: \"{}\"", shown(text)))
}
