//! Properties of any event and any bytes, compared with a simple model on JSON values.

use proptest::prelude::*;
use serde_json::{Map, Value, json, value::RawValue};
use shared::event::{
    BatchError, BatchFormat, Country, EventBatch, Rejection, RejectionCode, Sender, SessionEvent,
    SessionId, UserId, UserKey,
};
use shared::timestamp::Timestamp;
use unicode_normalization::UnicodeNormalization;

const JUNK: [&str; 10] = [
    "null",
    "NaN",
    "\u{a0}NONE ",
    " ",
    "\u{200b}",
    "\u{feff}",
    "undefined",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
];

/// Valid JSON that is not an event, some of it outside the range of a `Value`.
const ELEMENTS: [&str; 9] = [
    "0",
    "1e999",
    r#""\ud800""#,
    "null",
    "{}",
    "[[1e999]]",
    r#"{"ts":1e999}"#,
    r#"{"\udc00":"\udc00"}"#,
    r#"{"user_id":"\ud800"}"#,
];

/// The rules again, slow and simple. A `Value` cannot have a repeated key.
fn model(value: &Value) -> Result<SessionEvent, RejectionCode> {
    use RejectionCode as Code;
    let object = value.as_object().ok_or(Code::NotAnObject)?;
    let get = |key: &str| object.get(key).filter(|value| !value.is_null() && *value != "");
    let id = |value: Option<&Value>, missing, invalid| {
        let id = value.ok_or(missing)?.as_str().ok_or(invalid)?;
        let good = id.len() <= 128 && !id.contains(char::is_control) && !is_junk(id);
        if good { Ok(id.to_owned()) } else { Err(invalid) }
    };
    let user = match (object.get("user_id"), object.get("player_id")) {
        (Some(key), Some(alias)) if key == alias => return Err(Code::DuplicateKey),
        (Some(_), Some(_)) => return Err(Code::ConflictingUserId),
        _ => id(get("user_id").or(get("player_id")), Code::MissingUserId, Code::InvalidUserId)?,
    };
    let session = id(get("session_id"), Code::MissingSessionId, Code::InvalidSessionId)?;
    let event = get("event").ok_or(Code::MissingEvent)?;
    if event != "start" && event != "end" {
        return Err(Code::InvalidEvent);
    }
    let ts = match get("ts").ok_or(Code::MissingTs)? {
        Value::String(text) => Timestamp::parse(text),
        Value::Number(number) => number.as_i64().and_then(Timestamp::from_millis),
        _ => None,
    };
    let ts = ts.ok_or(Code::InvalidTs)?;
    let (Some(user), Some(session)) = (UserId::new(&user), SessionId::new(&session)) else {
        return Err(Code::NotAnObject);
    };
    if event == "end" {
        return Ok(SessionEvent::End { user, session, ts });
    }
    let text =
        get("country").map_or(Ok("ZZ"), |country| country.as_str().ok_or(Code::InvalidCountry))?;
    let letters = text.nfc().collect::<String>().to_uppercase();
    let letters: String = letters.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let letters: String = letters.nfc().take(16).collect();
    let country = Country::stored(if letters.is_empty() { "ZZ" } else { &letters });
    Ok(SessionEvent::Start { user, session, ts, country: country.ok_or(Code::InvalidCountry)? })
}

/// The characters that are not shown, beside white space: those that Unicode says to ignore by
/// default, and two blank ones.
const INVISIBLE: [std::ops::RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Whether an id is a placeholder, perhaps with blanks around it.
fn is_junk(id: &str) -> bool {
    let is_blank = |letter: char| {
        letter.is_whitespace() || INVISIBLE.iter().any(|range| range.contains(&letter))
    };
    let bare = id.trim_matches(is_blank).to_ascii_lowercase();
    let words = ["", "null", "none", "nil", "nan", "undefined", "true", "false", "[object object]"];
    words.contains(&bare.as_str()) || JUNK.contains(&bare.as_str())
}

fn wrong() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            json!(""),
            json!([]),
            json!({"user_id": 1}),
            json!([[[{}]]]),
            json!("x".repeat(129))
        ]),
        prop::sample::select(JUNK.to_vec()).prop_map(Value::from),
    ]
}

/// Usually a value of the right kind, sometimes anything.
fn mostly(right: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![12 => right.prop_map(Some), 1 => wrong().prop_map(Some), 1 => Just(None)]
}

fn id() -> impl Strategy<Value = String> {
    let any = prop_oneof!["[a-f0-9]{8}-[a-f0-9]{4}", "[ -~]{1,128}", "\\PC{1,32}"];
    any.prop_filter("no id", |text| UserId::new(text).is_some())
}

fn time() -> impl Strategy<Value = Timestamp> {
    let edges = prop::sample::select(vec![Timestamp::MIN, Timestamp::MAX, Timestamp::default()]);
    let any = Timestamp::MIN.millis()..=Timestamp::MAX.millis();
    prop_oneof![1 => edges, 9 => any.prop_filter_map("outside", Timestamp::from_millis)]
}

fn event() -> impl Strategy<Value = SessionEvent> {
    (id(), id(), time(), prop::option::of(".{0,20}")).prop_filter_map(
        "no id",
        |(user, session, ts, country)| {
            let (user, session) = (UserId::new(&user)?, SessionId::new(&session)?);
            Some(match country {
                Some(country) => {
                    SessionEvent::Start { user, session, ts, country: Country::normalise(&country) }
                }
                None => SessionEvent::End { user, session, ts },
            })
        },
    )
}

fn object() -> impl Strategy<Value = Value> {
    let ts = prop_oneof![time().prop_map(|ts| json!(ts)), time().prop_map(|ts| json!(ts.millis()))];
    let kind = prop::sample::select(vec![json!("start"), json!("end")]);
    let alias = prop_oneof![20 => Just(None), 1 => id().prop_map(|id| Some(json!(id))), 1 => Just(Some(json!("u")))];
    let user = prop_oneof![Just(json!("u")), id().prop_map(Value::from)];
    let fields = (
        mostly(user),
        alias,
        mostly(id().prop_map(Value::from)),
        mostly(kind),
        mostly(ts),
        mostly(".{0,20}".prop_map(Value::from)),
        prop::option::of(wrong()),
    );
    fields.prop_map(|(user, alias, session, kind, ts, country, other)| {
        let names = ["user_id", "player_id", "session_id", "event", "ts", "country", "other"];
        let values = [user, alias, session, kind, ts, country, other];
        let members = names
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    })
}

/// The same JSON with every character of every string escaped.
fn escaped(value: &Value) -> String {
    let string = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::String(text) => string(text),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(escaped).collect::<Vec<_>>().join(" ,\n"))
        }
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{} : {}", string(key), escaped(value)));
            format!("{{\t{} }}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn code(event: Result<SessionEvent, Rejection>) -> Result<SessionEvent, RejectionCode> {
    event.map_err(|rejection| rejection.code)
}

/// The properties of any body.
fn check(body: &[u8]) -> Result<(), TestCaseError> {
    let batch = EventBatch::decode(body, BatchFormat::Json, 10);
    match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(elements) if elements.is_empty() => prop_assert_eq!(&batch, &Err(BatchError::Empty)),
        Ok(elements) if elements.len() > 10 => {
            prop_assert_eq!(&batch, &Err(BatchError::TooManyEvents { limit: 10 }))
        }
        Ok(elements) if str::from_utf8(body).is_ok() => {
            let Ok(batch) = &batch else { return Err(TestCaseError::fail(format!("{batch:?}"))) };
            prop_assert_eq!(batch.events.len(), elements.len());
            for (event, element) in batch.events.iter().zip(elements) {
                prop_assert_eq!(
                    code(event.clone()),
                    code(SessionEvent::parse(element.get().as_bytes()))
                );
            }
        }
        _ => {}
    }
    let lines = EventBatch::decode(body, BatchFormat::Lines, 10);
    for batch in [batch, lines] {
        let Ok(batch) = batch else { continue };
        prop_assert!((1..=10).contains(&batch.events.len()));
        for event in batch.events {
            match event {
                Err(rejection) => {
                    prop_assert!(rejection.detail.chars().count() < 200, "{}", rejection.detail)
                }
                Ok(event) => {
                    let mut json = Vec::new();
                    event.write_json(&mut json);
                    prop_assert_eq!(SessionEvent::parse(&json), Ok(event));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in event()) {
        let mut json = Vec::new();
        event.write_json(&mut json);
        prop_assert_eq!(SessionEvent::parse(&json), Ok(event.clone()));
        prop_assert_eq!(serde_json::from_slice(&json).map_err(|_| ()).map(|value| model(&value)), Ok(Ok(event)));
        prop_assert!(!json.contains(&b'\n'));
    }

    #[test]
    fn an_event_is_read_as_the_model_reads_it_however_it_is_spelled(value in object()) {
        let expected = model(&value);
        for text in [value.to_string(), format!("{value:#}"), escaped(&value)] {
            prop_assert_eq!(code(SessionEvent::parse(text.as_bytes())), expected.clone(), "{}", text);
        }
    }

    #[test]
    fn accepted_and_rejected_make_up_what_was_sent(
        values in prop::collection::vec(prop_oneof![9 => object(), 1 => wrong()], 1..20), lines in any::<bool>(),
    ) {
        let texts: Vec<_> = values.iter().map(Value::to_string).collect();
        let (body, format) = match lines {
            true => (texts.join("\n"), BatchFormat::Lines),
            false => (format!(r#"{{"events":[{}]}}"#, texts.join(",")), BatchFormat::Json),
        };
        let batch = EventBatch::decode(body.as_bytes(), format, 20);
        let events = batch.map(|batch| batch.events.into_iter().map(code).collect());
        prop_assert_eq!(events, Ok(values.iter().map(model).collect::<Vec<_>>()));
    }

    #[test]
    fn a_strict_sender_gets_the_first_unknown_field_of_each_event_and_the_same_events(
        values in prop::collection::vec(prop_oneof![9 => object(), 1 => wrong()], 1..20), spelling in 0..3,
        user_key in prop::sample::select(vec![UserKey::Either, UserKey::UserId, UserKey::PlayerId]),
    ) {
        let text = |value: &Value| if spelling == 0 { escaped(value) } else { value.to_string() };
        let texts: Vec<_> = values.iter().map(text).collect();
        let (body, format) = match spelling {
            2 => (texts.join("\n"), BatchFormat::Lines),
            _ => (format!("[{}]", texts.join(",")), BatchFormat::Json),
        };
        let lenient = Sender { user_key, ..Sender::default() };
        let strict = Sender { strict: true, ..lenient };
        let lenient = EventBatch::decode_by(body.as_bytes(), format, 20, lenient).unwrap();
        let strict = EventBatch::decode_by(body.as_bytes(), format, 20, strict).unwrap();
        prop_assert_eq!(&strict.events, &lenient.events);
        prop_assert_eq!(lenient.unknown_fields, Vec::new());
        let is_known = |name: &str| match name {
            "user_id" => user_key != UserKey::PlayerId,
            "player_id" => user_key != UserKey::UserId,
            _ => ["session_id", "event", "ts", "country"].contains(&name),
        };
        let first = |value: &Value| value.as_object()?.keys().find(|name| !is_known(name)).cloned();
        let expected: Vec<_> = values.iter().enumerate()
            .filter_map(|(position, value)| Some((position, first(value)?)))
            .collect();
        let found: Vec<_> = strict.unknown_fields.iter()
            .map(|(position, unknown)| (*position, unknown.detail.split('`').nth(1).unwrap().to_owned()))
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert!(strict.unknown_fields.iter().all(|(_, unknown)| unknown.code == RejectionCode::UnknownField));
    }

    #[test]
    fn a_country_normalised_twice_is_the_same_as_once(
        letters in prop::collection::vec(prop_oneof![
            any::<char>(), prop::char::range('\u{1100}', '\u{11ff}'), prop::char::range('\u{ac00}', '\u{d7a3}'), prop::char::range('\u{300}', '\u{345}'), prop::char::range('\u{9be}', '\u{9c7}'),
            prop::char::range('\u{370}', '\u{3ff}'), prop::char::range('\u{1f00}', '\u{1fff}'), Just('-'),
        ], 0..24),
    ) {
        let text: String = letters.into_iter().collect();
        let once = Country::normalise(&text);
        prop_assert_eq!(Country::normalise(once.as_str()), once.clone());
        prop_assert_eq!(Country::stored(once.as_str()), Some(once.clone()));
        for spelled in [text.nfc().collect::<String>(), text.nfd().collect()] {
            prop_assert_eq!(Country::normalise(&spelled), once.clone());
        }
    }

    #[test]
    fn no_bytes_do_harm(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&body)?;
    }

    #[test]
    fn no_json_like_text_does_harm(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", "\n", " ", "0", "-", "1e999", "null", "true", "\"user_id\"", "\"player_id\"", "\"session_id\"",
            "\"event\"", "\"ts\"", "\"events\"", "\"rows\"", "\"start\"", "\"\\ud800\"", "\"", "\\", "\u{feff}", "[0]", "{\"ts\":0}", "[[", "]]",
        ]), 0..30),
    ) {
        check(tokens.concat().as_bytes())?;
        check(format!("[{}]", tokens.concat()).as_bytes())?;
    }

    #[test]
    fn each_element_of_an_array_is_read_as_if_it_stood_alone(
        elements in prop::collection::vec(prop_oneof![
            2 => object().prop_map(|value| value.to_string()),
            1 => prop::sample::select(ELEMENTS.to_vec()).prop_map(str::to_owned),
        ], 1..12),
    ) {
        check(format!("[{}]", elements.join(" , ")).as_bytes())?;
    }

    #[test]
    fn no_mutation_of_a_batch_does_harm(
        values in prop::collection::vec(object(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..6),
    ) {
        let mut body = Value::from(values).to_string().into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at.max(1)),
            }
        }
        check(&body)?;
    }
}
