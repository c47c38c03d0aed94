//! Decodes a body: one JSON text with an array of events, or one event per line.
//!
//! An invalid element is a [`Rejection`] and affects no other element. Reading stops at the first
//! event over the limit, so the limit and the size of the body bound the memory that it takes.

use std::{cell::Cell, fmt};

use serde::de::{
    DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{
    Rejection, SessionEvent,
    batch::{BatchError, BatchFormat, BatchShape, EventBatch, Sender},
    element::Element,
    key::KeySeed,
    rejection::syntax,
};

const A_BATCH: &str =
    "expected an array of events, or an object with such an array as `events` or `rows`";

const NO_NEWLINES: &str = "the body has several events on one line; put a newline after each (curl removes newlines with \
     -d: use --data-binary)";
const PERCENT_ENCODED: &str =
    "it is percent-encoded, as in a form; send the JSON itself (with curl, --data-binary)";

/// The events read so far, and the error that stopped reading. The error types of serde cannot
/// carry a [`BatchError`].
struct Reading<'a> {
    shape: BatchShape,
    events: Vec<Result<SessionEvent, Rejection>>,
    unknown_fields: Vec<(usize, Rejection)>,
    max_events: usize,
    element: Element<'a>,
    /// Whether to cut out each element before reading it. Some valid JSON cannot be represented: a
    /// number such as `1e999`, or a string with half a surrogate pair. Without the cut, such an
    /// element would make the whole body invalid. It is slower, so it is the second attempt.
    apart: bool,
    error: Option<BatchError>,
}

impl EventBatch {
    /// Decodes a body, already decompressed, of at most `max_events` events.
    ///
    /// A byte order mark at the beginning is skipped. If the body has several errors, the first one
    /// is returned.
    pub fn decode(body: &[u8], format: BatchFormat, max_events: usize) -> Result<Self, BatchError> {
        Self::decode_by(body, format, max_events, Sender::default())
    }

    /// The same, for the events of `sender`.
    pub fn decode_by(
        body: &[u8],
        format: BatchFormat,
        max_events: usize,
        sender: Sender<'_>,
    ) -> Result<Self, BatchError> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let unknown = Cell::new(None);
        let unknown = sender.strict.then_some(&unknown);
        let element = Element { sender, unknown, ..Element::SENT };
        let batch = match format {
            BatchFormat::Json => decode_json(body, max_events, element)?,
            BatchFormat::Lines => decode_lines(body, max_events, element)?,
        };
        if batch.events.is_empty() { Err(BatchError::Empty) } else { Ok(batch) }
    }
}

fn decode_lines(
    body: &[u8],
    max_events: usize,
    element: Element<'_>,
) -> Result<EventBatch, BatchError> {
    let (mut events, mut unknown_fields) = (Vec::new(), Vec::new());
    let mut rest = body;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        rest = rest.get(line.len() + 1..).unwrap_or_default();
        if is_blank(line) {
            continue;
        }
        if events.len() == max_events {
            return Err(BatchError::TooManyEvents { limit: max_events });
        }
        if events.is_empty() && rest.is_empty() && has_several_values(line) {
            return Err(BatchError::NotABatch(NO_NEWLINES.to_owned()));
        }
        let event = element.parse(line).map_err(|rejection| rejection.of_line(number));
        unknown_fields.extend(element.unknown_field().map(|unknown| (events.len(), unknown)));
        events.push(event);
    }
    Ok(EventBatch { shape: BatchShape::Lines, events, unknown_fields })
}

/// Whether one line has more than one JSON value, so that its newlines are missing.
fn has_several_values(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    matches!((values.next(), values.next()), (Some(Ok(_)), Some(Ok(_))))
}

fn decode_json(
    body: &[u8],
    max_events: usize,
    element: Element<'_>,
) -> Result<EventBatch, BatchError> {
    if is_blank(body) {
        return Err(BatchError::Empty);
    }
    let text = str::from_utf8(body).map_err(|error| {
        BatchError::NotJson(format!("byte {} is not UTF-8", error.valid_up_to()))
    })?;
    match read(text, max_events, element, false) {
        Err(BatchError::NotJson(_)) if is_percent_encoded(text) => {
            Err(BatchError::NotJson(PERCENT_ENCODED.to_owned()))
        }
        Err(BatchError::NotJson(_)) => read(text, max_events, element, true),
        result => result,
    }
}

/// Whether `text` is percent-encoded JSON, perhaps after the name of a form's field.
fn is_percent_encoded(text: &str) -> bool {
    let value = text.split_once('=').map_or(text, |(_name, value)| value);
    [text, value].iter().any(|text| {
        let begin = text.trim_start().as_bytes().get(..3).unwrap_or_default();
        [b"%5B", b"%7B"].iter().any(|bracket| begin.eq_ignore_ascii_case(*bracket))
    })
}

fn read(
    text: &str,
    max_events: usize,
    element: Element<'_>,
    apart: bool,
) -> Result<EventBatch, BatchError> {
    let (shape, events, unknown_fields) = (BatchShape::Array, Vec::new(), Vec::new());
    let mut reading =
        Reading { shape, events, unknown_fields, max_events, element, apart, error: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let result = json.deserialize_any(Body(&mut reading)).and_then(|()| json.end());
    match (reading.error, result) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => {
            let Reading { shape, events, unknown_fields, .. } = reading;
            Ok(EventBatch { shape, events, unknown_fields })
        }
        (None, Err(error)) if error.is_data() => Err(BatchError::NotABatch(A_BATCH.to_owned())),
        (None, Err(error)) => {
            let (line, column) = (error.line(), error.column());
            let place = format!("{} at line {line}, column {column}", syntax(&error));
            Err(BatchError::NotJson(place))
        }
    }
}

/// Whether `text` has nothing but the white space of JSON.
fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

impl Reading<'_> {
    fn stop<E: Error>(&mut self, error: BatchError) -> E {
        self.error = Some(error);
        E::custom("stopped")
    }

    fn not_a_batch<E: Error>(&mut self, why: &str) -> E {
        self.stop(BatchError::NotABatch(why.to_owned()))
    }
}

/// The whole body.
struct Body<'r, 'a>(&'r mut Reading<'a>);

impl<'de> Visitor<'de> for Body<'_, '_> {
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
                    return Err(self.0.not_a_batch(
                        "a batch must have either `events` or `rows`, and only once",
                    ));
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
                "the body is a single event; send an array of events, or one event per line as \
                 application/x-ndjson",
            )),
            (false, false) => Err(self.0.not_a_batch(A_BATCH)),
        }
    }
}

/// The array of events.
struct Events<'r, 'a>(&'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for Events<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let element = self.0.element;
        while self.0.events.len() < self.0.max_events {
            let event = if self.0.apart {
                seq.next_element::<&RawValue>()?.map(|json| element.parse_text(json.get()))
            } else {
                seq.next_element_seed(element)?
            };
            let Some(event) = event else { return Ok(()) };
            let unknown = element.unknown_field().map(|unknown| (self.0.events.len(), unknown));
            self.0.unknown_fields.extend(unknown);
            self.0.events.push(event);
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(self.0.stop(BatchError::TooManyEvents { limit: self.0.max_events })),
        }
    }
}

enum Key {
    Events(BatchShape),
    /// A key of an event, which identifies a single event in place of a batch.
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
