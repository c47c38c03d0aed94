//! A body that is one JSON text: an array of events, or an object that holds one.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{
    BatchError, BatchShape, EventBatch, Rejection, SessionEvent, element::Element, key::KeySeed,
};

/// What has been read so far, and the fault that stopped it: the deserialiser's own errors can't carry one.
struct Reading {
    shape: BatchShape,
    events: Vec<Result<SessionEvent, Rejection>>,
    max_events: usize,
    /// Cut each element out before it is read. A few elements are valid JSON that the deserialiser can't represent, a
    /// number such as `1e999` or a string of half a surrogate pair, and would else spoil the body. None of them is an event,
    /// so only a body that could not be read in one go is read so.
    apart: bool,
    fault: Option<BatchError>,
}

pub(super) fn decode(body: &[u8], max_events: usize) -> Result<EventBatch, BatchError> {
    if is_blank(body) {
        return Err(BatchError::Empty);
    }
    let text = str::from_utf8(body).map_err(|error| {
        BatchError::NotJson(format!("it is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    match read(text, max_events, false) {
        Err(BatchError::NotJson(_)) => read(text, max_events, true),
        outcome => outcome,
    }
}

fn read(text: &str, max_events: usize, apart: bool) -> Result<EventBatch, BatchError> {
    let mut reading =
        Reading { shape: BatchShape::Array, events: Vec::new(), max_events, apart, fault: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome = json.deserialize_any(Body(&mut reading)).and_then(|()| json.end());
    match (reading.fault, outcome) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(EventBatch { shape: reading.shape, events: reading.events }),
        (None, Err(error)) if error.is_data() => Err(BatchError::NotABatch(
            "a batch is an array of events, or an object that holds one as `events` or `rows`"
                .to_owned(),
        )),
        (None, Err(error)) => Err(BatchError::NotJson(error.to_string())),
    }
}

/// JSON's own white space alone.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

impl Reading {
    fn stop<E: Error>(&mut self, fault: BatchError) -> E {
        self.fault = Some(fault);
        E::custom("stopped")
    }

    fn not_a_batch<E: Error>(&mut self, why: &str) -> E {
        self.stop(BatchError::NotABatch(why.to_owned()))
    }
}

/// The whole body.
struct Body<'r>(&'r mut Reading);

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Events(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut found, mut is_event) = (false, false);
        while let Some(key) = map.next_key_seed(KeySeed(Key::of))? {
            match key {
                Key::Events(_) if found => {
                    return Err(self
                        .0
                        .not_a_batch("`events` and `rows` may be given once, and not both"));
                }
                Key::Events(shape) => {
                    found = true;
                    self.0.shape = shape;
                    map.next_value_seed(Events(&mut *self.0))?;
                }
                Key::OfAnEvent => {
                    is_event = true;
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (found, is_event) {
            (true, _) => Ok(()),
            (false, true) => Err(self.0.not_a_batch(
                "this is a single event: send an array of events, or events on lines as application/x-ndjson",
            )),
            (false, false) => {
                Err(self.0.not_a_batch("an object must hold an array of events as `events` or `rows`"))
            }
        }
    }
}

/// The array of events, wherever it stands.
struct Events<'r>(&'r mut Reading);

impl<'de> DeserializeSeed<'de> for Events<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.0.events.len() < self.0.max_events {
            let event = if self.0.apart {
                seq.next_element::<&RawValue>()?.map(|json| SessionEvent::parse_text(json.get()))
            } else {
                seq.next_element_seed(Element)?
            };
            match event {
                Some(event) => self.0.events.push(event),
                None => return Ok(()),
            }
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(self.0.stop(BatchError::TooManyEvents { limit: self.0.max_events })),
        }
    }
}

enum Key {
    Events(BatchShape),
    /// No batch has it, so it tells a single event from a batch.
    OfAnEvent,
    Other,
}

impl Key {
    fn of(key: &[u8]) -> Self {
        match key {
            b"events" => Key::Events(BatchShape::Events),
            b"rows" => Key::Events(BatchShape::Rows),
            b"user_id" | b"player_id" | b"session_id" | b"event" | b"ts" => Key::OfAnEvent,
            _ => Key::Other,
        }
    }
}
