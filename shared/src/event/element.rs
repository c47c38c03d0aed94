//! One element of a batch, or one record: the JSON of what should be one event.
//!
//! What an element says wrongly is its [`Rejection`]. An error of the deserialiser is left for what spoils the text around it:
//! broken syntax.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Rejection, SessionEvent, fields::Fields, key::KeySeed};

/// Reads one element.
pub(super) struct Element;

enum Key {
    UserId,
    PlayerId,
    SessionId,
    Event,
    Ts,
    Country,
    Unknown,
}

impl SessionEvent {
    /// Reads one record of the log: one event, in UTF-8, with a byte order mark or without.
    ///
    /// Unknown fields are ignored, whatever they hold and however deep, and so are their repetitions.
    ///
    /// # Errors
    /// The first fault in the order `user_id`, `session_id`, `event`, `ts`, `country`. Whatever is not one JSON object, such as an
    /// array of events, is [`NotAnObject`](super::RejectionCode::NotAnObject). Time is not looked at: see
    /// [`judge`](Self::judge).
    pub fn parse(json: &[u8]) -> Result<Self, Rejection> {
        let text = str::from_utf8(json).map_err(|_| Rejection::not_an_object("it is not UTF-8"))?;
        Self::parse_text(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    pub(super) fn parse_text(json: &str) -> Result<Self, Rejection> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let event = Element.deserialize(&mut deserializer);
        event
            .and_then(|event| deserializer.end().map(|()| event))
            .unwrap_or_else(|error| Err(Rejection::not_an_object(error)))
    }
}

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Result<SessionEvent, Rejection>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Result<SessionEvent, Rejection>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(KeySeed(Key::of))? {
            if matches!(key, Key::Unknown) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let json = map.next_value::<&RawValue>()?.get();
            match key {
                Key::UserId => fields.user.put(json, false),
                Key::PlayerId => fields.user.put(json, true),
                Key::SessionId => fields.session.put(json),
                Key::Event => fields.event.put(json),
                Key::Ts => fields.ts.put(json),
                Key::Country => fields.country.put(json),
                Key::Unknown => {}
            }
        }
        Ok(fields.into_event())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(Rejection::not_an_object("it is an array")))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("it is a string")))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("it is null")))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("it is a boolean")))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("it is a number")))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }
}

impl Key {
    fn of(key: &[u8]) -> Self {
        match key {
            b"user_id" => Key::UserId,
            b"player_id" => Key::PlayerId,
            b"session_id" => Key::SessionId,
            b"event" => Key::Event,
            b"ts" => Key::Ts,
            b"country" => Key::Country,
            _ => Key::Unknown,
        }
    }
}
