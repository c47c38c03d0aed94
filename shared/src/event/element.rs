//! Parses one element of a batch, or one record: the JSON of one event.
//!
//! A wrong value is a [`Rejection`] of this element. An error of the deserialiser means broken
//! syntax, which affects the text around it.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Rejection, Rules, SessionEvent,
    batch::{Sender, UserKey},
    fields::Fields,
    key::KeySeed,
    rejection::syntax,
};

/// The seed that reads one element.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) rules: Rules,
    pub(super) sender: Sender<'a>,
    /// Of a strict sender: the rejection for the first unknown field of the element read last.
    pub(super) unknown: Option<&'a Cell<Option<Rejection>>>,
}

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
    /// Parses one record of the log: one event in UTF-8, optionally with a byte order mark.
    ///
    /// Unknown fields are ignored, with any content and any depth, also if they are repeated.
    ///
    /// # Errors
    /// The first error in the order `user_id`, `session_id`, `event`, `ts`, `country`. Anything but
    /// one JSON object is [`NotAnObject`](super::RejectionCode::NotAnObject). The time is not
    /// compared with a clock: see [`judge`](Self::judge).
    pub fn parse(json: &[u8]) -> Result<Self, Rejection> {
        Element::SENT.parse(json)
    }

    /// Parses one record whose event an endpoint accepted, perhaps one of an earlier version: its
    /// ids and its country are kept as that version wrote them. Otherwise the same as
    /// [`parse`](Self::parse).
    pub fn parse_accepted(json: &[u8]) -> Result<Self, Rejection> {
        Element { rules: Rules::Accepted, ..Element::SENT }.parse(json)
    }
}

impl Element<'_> {
    /// What clients and direct producers send.
    pub(super) const SENT: Self = Self {
        rules: Rules::Sent,
        sender: Sender { user_key: UserKey::Either, users_prefix: None, strict: false },
        unknown: None,
    };

    /// Takes the rejection for the first unknown field of the element read last.
    pub(super) fn unknown_field(self) -> Option<Rejection> {
        self.unknown.and_then(Cell::take)
    }

    /// Maps a key, and keeps the first one that is unknown.
    fn key(self, name: &[u8]) -> Key {
        let key = Key::of(name);
        if !matches!(key, Key::Unknown) && !self.sender.user_key.ignores(&key) {
            return key;
        }
        if let Some(unknown) = self.unknown {
            unknown.set(unknown.take().or_else(|| Some(Rejection::unknown_field(name))));
        }
        Key::Unknown
    }

    /// Parses a text with one element, optionally with a byte order mark.
    pub(super) fn parse(self, json: &[u8]) -> Result<SessionEvent, Rejection> {
        let text =
            str::from_utf8(json).map_err(|_| Rejection::not_an_object("the text is not UTF-8"))?;
        self.parse_text(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    pub(super) fn parse_text(self, json: &str) -> Result<SessionEvent, Rejection> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let event = self.deserialize(&mut deserializer);
        event.and_then(|event| deserializer.end().map(|()| event)).unwrap_or_else(|error| {
            let what = format!("{} at column {}", syntax(&error), error.column());
            Err(Rejection::not_an_object(&what))
        })
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Result<SessionEvent, Rejection>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Result<SessionEvent, Rejection>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(KeySeed(|name: &[u8]| self.key(name)))? {
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
        Ok(fields.into_event(self.rules, self.sender))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(Rejection::not_an_object("found an array")))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("found a string")))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("found null")))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("found a boolean")))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(Rejection::not_an_object("found a number")))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }
}

impl UserKey {
    /// Whether `key` is the name of the user that was not chosen.
    fn ignores(self, key: &Key) -> bool {
        matches!((self, key), (Self::UserId, Key::PlayerId) | (Self::PlayerId, Key::UserId))
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
