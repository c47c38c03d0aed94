//! Converts the JSON values of an element's known keys to an event, or to the first error.
//!
//! Fields are checked in the order `user_id`, `session_id`, `event`, `ts`, `country`. A user that
//! is not one of the sender's is reported before any fault of the fields after it. Within a field,
//! a repeated key is reported before a missing value, and that before an invalid value.

use std::borrow::Cow;

use super::{
    Country, Rejection, RejectionCode, Rules, SessionEvent, SessionId, UserId,
    batch::{Sender, UserKey},
    id,
    rejection::shown,
};
use crate::timestamp::Timestamp;

/// The values of the known keys of an element, still as JSON.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) user: UserField<'a>,
    pub(super) session: Field<'a>,
    pub(super) event: Field<'a>,
    pub(super) ts: Field<'a>,
    pub(super) country: Field<'a>,
}

/// The first value of a key.
#[derive(Default)]
pub(super) struct Field<'a> {
    json: Option<&'a str>,
    repeated: bool,
}

/// The user, the only field with two keys.
///
/// A repeated key is always a `duplicate_key`. The key and its alias together are a
/// `duplicate_key` if the values are equal. If they differ, the user of the event is unknown, which
/// is the more serious error: `conflicting_user_id`. A `null` differs from a text.
#[derive(Default)]
pub(super) struct UserField<'a> {
    pub(super) field: Field<'a>,
    by_key: bool,
    by_alias: bool,
    differs: bool,
}

/// The value of a field by its type.
enum Value<'a> {
    /// Absent, `null` or `""`.
    Missing,
    Text(Cow<'a, str>),
    /// The number as it was written.
    Number(&'a str),
    /// Another type, or a string that is not text; in words for the client.
    Other(&'static str),
}

impl<'a> Field<'a> {
    pub(super) fn put(&mut self, json: &'a str) {
        self.repeated = self.json.is_some();
        self.json = self.json.or(Some(json));
    }

    /// Returns the value if the key was not repeated.
    fn once(&self, name: &str) -> Result<Value<'a>, Rejection> {
        if self.repeated {
            return Err(Rejection::new(
                RejectionCode::DuplicateKey,
                format!("`{name}` must not be repeated"),
            ));
        }
        Ok(self.json.map_or(Value::Missing, Value::read))
    }

    /// Returns the value, which must be a text that is not empty.
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
    /// Reads valid JSON. Copies a string only if it contains an escape.
    fn read(json: &'a str) -> Self {
        match json.as_bytes() {
            [b'"', b'"'] => Self::Missing,
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Self::Text(Cow::Borrowed(&json[1..=text.len()]))
            }
            // An escaped half of a surrogate pair is valid JSON but not a text.
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
    /// Returns the event of these fields.
    pub(super) fn into_event(
        self,
        rules: Rules,
        sender: Sender<'_>,
    ) -> Result<SessionEvent, Rejection> {
        use RejectionCode as Code;
        if self.user.by_key && self.user.by_alias && self.user.differs {
            return Err(Rejection::new(
                Code::ConflictingUserId,
                "`user_id` and its alias `player_id` must not have different values; choose the one \
                 that names the user by `?id=user_id` or `?id=player_id`, or rename the other key",
            ));
        }
        let name = match sender.user_key {
            UserKey::Either | UserKey::UserId => "user_id",
            UserKey::PlayerId => "player_id",
        };
        let user = self.user.field.text(name, Code::MissingUserId, Code::InvalidUserId)?;
        let user = UserId::read(&user, rules)
            .ok_or_else(|| not_an_id(name, Code::InvalidUserId, &user))?;
        if sender.users_prefix.is_some_and(|prefix| !user.as_str().starts_with(prefix)) {
            let detail = format!("`{name}` is not a user of the key that sent the event");
            return Err(Rejection::new(Code::ForeignUser, detail));
        }
        let session =
            self.session.text("session_id", Code::MissingSessionId, Code::InvalidSessionId)?;
        let session = SessionId::read(&session, rules)
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
            SessionEvent::Start { user, session, ts, country: normalised(country, rules)? }
        } else {
            // The country of an end is ignored, but its key must not be repeated either.
            SessionEvent::End { user, session, ts }
        })
    }
}

fn timestamp(field: &Field<'_>) -> Result<Timestamp, Rejection> {
    let invalid = |detail: String| Rejection::new(RejectionCode::InvalidTs, detail);
    match field.once("ts")? {
        Value::Missing => Err(absent("ts", RejectionCode::MissingTs)),
        Value::Text(text) => Timestamp::parse(&text).ok_or_else(|| {
            invalid(format!(
                "`ts` must be a time such as 2019-05-13T12:00:00Z, not \"{}\": {}",
                shown(&text),
                Timestamp::fault(&text)
            ))
        }),
        // An integer has no fraction and no exponent: `1e3` and `1.0` are invalid too.
        Value::Number(number) => number.parse().ok().and_then(Timestamp::from_millis).ok_or_else(|| {
            invalid(format!(
                "`ts` as a number must be an integer, the milliseconds since 1970, in the years 1 \
                 to 9999, not {}",
                shown(number)
            ))
        }),
        Value::Other(kind) => Err(invalid(format!("`ts` must be a string or an integer, not {kind}"))),
    }
}

fn normalised(country: Value<'_>, rules: Rules) -> Result<Country, Rejection> {
    let invalid = |kind| Err(not_a_string("country", RejectionCode::InvalidCountry, kind));
    match country {
        Value::Missing => Ok(Country::unknown()),
        Value::Text(text) => Ok(Country::read(&text, rules)),
        Value::Number(_) => invalid("a number"),
        Value::Other(kind) => invalid(kind),
    }
}

/// Whether two JSON values are the same text, or are written the same.
fn same(one: &str, other: &str) -> bool {
    one == other
        || matches!((Value::read(one), Value::read(other)), (Value::Text(one), Value::Text(other)) if one == other)
}

fn absent(name: &str, code: RejectionCode) -> Rejection {
    Rejection::new(code, format!("`{name}` must be given; it is absent, null or empty"))
}

fn not_a_string(name: &str, code: RejectionCode, kind: &str) -> Rejection {
    Rejection::new(code, format!("`{name}` must be a string, not {kind}"))
}

fn not_an_id(name: &str, code: RejectionCode, text: &str) -> Rejection {
    let rule = id::broken_rule(text).unwrap_or("must be an id");
    Rejection::new(code, format!("`{name}` {rule}: \"{}\"", shown(text)))
}
