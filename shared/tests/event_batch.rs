//! The body of a request: its four shapes, invalid bodies, and invalid events in a valid body.

use shared::event::{
    BatchError, BatchFormat, BatchShape, EventBatch, RejectionCode, Sender, UserKey,
};

const START: &str = r#"{"user_id":"u","session_id":"s","event":"start","ts":0}"#;
const END: &str = r#"{"user_id":"u","session_id":"s","event":"end","ts":0}"#;

fn json(body: impl AsRef<[u8]>) -> Result<EventBatch, BatchError> {
    EventBatch::decode(body.as_ref(), BatchFormat::Json, 1_000)
}

fn lines(body: impl AsRef<[u8]>) -> Result<EventBatch, BatchError> {
    EventBatch::decode(body.as_ref(), BatchFormat::Lines, 1_000)
}

/// The code of each event of a batch; `None` for a valid one.
fn codes(batch: Result<EventBatch, BatchError>) -> Result<Vec<Option<RejectionCode>>, BatchError> {
    batch.map(|batch| {
        batch.events.into_iter().map(|event| event.err().map(|rejection| rejection.code)).collect()
    })
}

fn is_not_json(body: impl AsRef<[u8]>) -> bool {
    matches!(json(body), Err(BatchError::NotJson(_)))
}

fn is_not_a_batch(body: impl AsRef<[u8]>) -> bool {
    matches!(json(body), Err(BatchError::NotABatch(_)))
}

#[test]
fn each_shape_is_read_and_named() {
    let shapes = [
        (json(format!("[{START},{END}]")), BatchShape::Array),
        (json(format!(r#"{{"events":[{START},{END}]}}"#)), BatchShape::Events),
        (json(format!(r#"{{"\u0072ows" : [ {START} , {END} ] }}"#)), BatchShape::Rows),
        (lines(format!("{START}\n{END}")), BatchShape::Lines),
    ];
    for (batch, shape) in shapes {
        assert_eq!(batch.as_ref().map(|batch| batch.shape), Ok(shape));
        assert_eq!(codes(batch), Ok(vec![None, None]));
    }
}

#[test]
fn what_stands_beside_the_events_is_ignored() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let body =
        format!(r#"{{"a":1e999,"user_id":"u","events":[{START}],"\ud800":{deep},"a":"\ud800"}}"#);
    assert_eq!(codes(json(body)), Ok(vec![None]));
}

#[test]
fn one_bad_event_spoils_only_itself() {
    let body = format!(
        r#"[{START},7,null,"x",[{START}],{{}},{{"user_id":"\ud800"}},{{"user_id":1e999}},{END}]"#
    );
    use RejectionCode::{InvalidUserId, MissingUserId, NotAnObject};
    let expected =
        [None, Some(NotAnObject), Some(NotAnObject), Some(NotAnObject), Some(NotAnObject)];
    let others = [Some(MissingUserId), Some(InvalidUserId), Some(InvalidUserId), None];
    assert_eq!(codes(json(body)), Ok([expected.as_slice(), &others].concat()));
}

#[test]
fn an_element_that_is_valid_json_beyond_any_value_spoils_only_itself() {
    for (open, close) in [("[", "]"), (r#"{"rows":["#, "]}")] {
        let body = format!(r#"{open}1e999,"\ud800",{START}{close}"#);
        let expected =
            vec![Some(RejectionCode::NotAnObject), Some(RejectionCode::NotAnObject), None];
        assert_eq!(codes(json(body)), Ok(expected));
    }
}

#[test]
fn an_element_nested_beyond_reason_spoils_only_itself() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        codes(json(format!("[{deep},{START}]"))),
        Ok(vec![Some(RejectionCode::NotAnObject), None])
    );
}

#[test]
fn broken_syntax_spoils_a_json_body() {
    let cut = format!("[{START},{}", &END[..20]);
    for body in [
        &cut,
        "[",
        "{",
        "[1,]",
        "]",
        "nul",
        "[1 2]",
        r#"{"events":[}"#,
        "{\"a\"}",
        "\u{a0}[]",
        "['a']",
        "[\"\t\"]",
        "\0",
        "1e999",
    ] {
        assert!(is_not_json(body), "{body} {:?}", json(body));
    }
    assert!(is_not_json(format!("[{START}] x")) && is_not_json(format!("[{START}][{END}]")));
    assert!(
        is_not_json(b"[\"\xFF\"]")
            && is_not_json(b"\xFF\xFE[\0]\0")
            && is_not_json(b"[\"\xED\xA0\x80\"]")
    );
    assert!(is_not_json("[".repeat(500_000)) && is_not_json(r#"{"a":"#.repeat(200_000)));
}

#[test]
fn a_broken_line_spoils_only_itself() {
    let mut body =
        format!("{START}\n{}\nnot json\n[{START}]\n{START} {END}\n\"", &END[..20]).into_bytes();
    body.extend_from_slice(b"\xFF\"\n");
    body.extend_from_slice(END.as_bytes());
    let broken = Some(RejectionCode::NotAnObject);
    assert_eq!(codes(lines(body)), Ok(vec![None, broken, broken, broken, broken, broken, None]));
}

#[test]
fn blank_lines_are_skipped_and_do_not_count() {
    let body = format!("\n \t\r\n{START}\r\n\r\n7\n\n{END}\n\n");
    assert_eq!(codes(lines(&body)), Ok(vec![None, Some(RejectionCode::NotAnObject), None]));
    assert!(EventBatch::decode(body.as_bytes(), BatchFormat::Lines, 3).is_ok());
}

#[test]
fn a_byte_order_mark_before_a_body_is_skipped() {
    assert_eq!(codes(json(format!("\u{feff}[{START}]"))), Ok(vec![None]));
    assert_eq!(codes(lines(format!("\u{feff}{START}\n{END}"))), Ok(vec![None, None]));
    assert!(is_not_json(format!("\u{feff}\u{feff}[{START}]")));
}

#[test]
fn a_single_event_is_told_how_to_become_a_batch() {
    for body in [START.to_owned(), format!("{START}\n{END}")] {
        let Err(BatchError::NotABatch(why)) = json(body) else { panic!("read") };
        assert!(why.contains("array") && why.contains("application/x-ndjson"), "{why}");
    }
}

#[test]
fn json_of_another_shape_is_not_a_batch() {
    let bodies = [
        "{}",
        "null",
        "true",
        "7",
        "\"text\"",
        r#"{"a":[]}"#,
        r#"{"events":{}}"#,
        r#"{"rows":null}"#,
        r#"{"events":"x"}"#,
    ];
    for body in bodies {
        assert!(is_not_a_batch(body), "{body} {:?}", json(body));
    }
}

#[test]
fn events_and_rows_may_be_given_once_and_not_both() {
    for second in ["events", "rows"] {
        assert!(is_not_a_batch(format!(r#"{{"events":[{START}],"{second}":[{START}]}}"#)));
        assert!(is_not_a_batch(format!(r#"{{"events":[],"{second}":[]}}"#)));
    }
}

#[test]
fn a_batch_without_events_is_empty() {
    for body in ["", " \r\n\t", "[]", "[ ]", r#"{"events":[]}"#, r#"{"rows":[],"a":1}"#, "\u{feff}"]
    {
        assert_eq!(json(body), Err(BatchError::Empty), "{body}");
    }
    assert_eq!((lines(""), lines("\n\r\n")), (Err(BatchError::Empty), Err(BatchError::Empty)));
}

#[test]
fn the_limit_is_good_and_one_more_is_too_many() {
    let body = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(json(body(1_000)).map(|batch| batch.events.len()), Ok(1_000));
    assert_eq!(json(body(1_001)), Err(BatchError::TooManyEvents { limit: 1_000 }));
    assert_eq!(
        json(format!(r#"{{"rows":{}}}"#, body(1_001))),
        Err(BatchError::TooManyEvents { limit: 1_000 })
    );
    assert_eq!(lines("0\n".repeat(1_000)).map(|batch| batch.events.len()), Ok(1_000));
    assert_eq!(lines("0\n".repeat(1_001)), Err(BatchError::TooManyEvents { limit: 1_000 }));
}

#[test]
fn a_line_that_is_no_event_is_named_by_its_number() {
    let batch = lines("{}\n\nfoo\n[1]\n").unwrap();
    let details: Vec<_> = batch.events.into_iter().map(|event| event.unwrap_err().detail).collect();
    assert_eq!(details[1], "line 3 must be a JSON object: unexpected character at column 2");
    assert_eq!(details[2], "line 4 must be a JSON object: found an array");
}

#[test]
fn a_body_without_its_newlines_is_told_so() {
    for body in [format!("{START}{END}"), format!("{START} {END}\n"), format!("\n{START}{END}7")] {
        let Err(BatchError::NotABatch(why)) = lines(&body) else { panic!("{body}") };
        assert!(why.contains("newline") && why.contains("--data-binary"), "{why}");
    }
    // A single broken line is not that.
    for body in [format!("{START},{END}"), format!("{START}}}")] {
        assert_eq!(codes(lines(&body)), Ok(vec![Some(RejectionCode::NotAnObject)]), "{body}");
    }
}

#[test]
fn a_percent_encoded_body_is_told_so() {
    let bodies =
        ["%5B%7B%22user_id%22", "%5b%7b", " %7B%22rows%22", "events=%5B%7B%7D%5D", "=%5B%5D"];
    for body in bodies {
        let Err(BatchError::NotJson(why)) = json(body) else { panic!("{body}") };
        assert!(why.contains("percent-encoded"), "{body}: {why}");
    }
    for body in ["%", "%5", "%22a%22", "[%5B]", "a=b", "\u{fc}%5B"] {
        let Err(BatchError::NotJson(why)) = json(body) else { panic!("{body}") };
        assert!(!why.contains("percent-encoded"), "{body}: {why}");
    }
}

#[test]
fn the_chosen_key_names_the_user_and_the_other_one_is_unknown() {
    let event = r#"{"user_id":"u","player_id":"v","session_id":"s","event":"end","ts":0}"#;
    let users = |key, format, body: &str| {
        let batch = EventBatch::decode_by(
            body.as_bytes(),
            format,
            10,
            Sender { user_key: key, ..Sender::default() },
        )
        .unwrap();
        let user = |event: Result<shared::event::SessionEvent, shared::event::Rejection>| {
            event.map(|event| event.user().to_string()).map_err(|rejection| rejection.code)
        };
        batch.events.into_iter().map(user).collect::<Vec<_>>()
    };
    let array = format!("[1e999,{event}]");
    for (key, expected) in [
        (UserKey::Either, Err(RejectionCode::ConflictingUserId)),
        (UserKey::UserId, Ok("u".to_owned())),
        (UserKey::PlayerId, Ok("v".to_owned())),
    ] {
        assert_eq!(users(key, BatchFormat::Lines, event)[0], expected);
        assert_eq!(users(key, BatchFormat::Json, &format!("[{event}]"))[0], expected);
        assert_eq!(users(key, BatchFormat::Json, &array)[1], expected);
    }
    let sender = Sender { user_key: UserKey::PlayerId, ..Sender::default() };
    let batch = EventBatch::decode_by(START.as_bytes(), BatchFormat::Lines, 1, sender);
    let rejection = batch.unwrap().events.remove(0).unwrap_err();
    assert_eq!(rejection.code, RejectionCode::MissingUserId);
    assert!(rejection.detail.contains("player_id"), "{}", rejection.detail);
}

#[test]
fn a_strict_sender_gets_the_unknown_fields_of_an_array_that_is_read_again() {
    let strict = Sender { strict: true, ..Sender::default() };
    let known = r#"{"user_id":"u","session_id":"s","event":"end","ts":0}"#;
    let unknown = known.replace("ts", "time\":{\"user\":1},\"ts");
    // A number too large for the first attempt, after an event with an unknown field.
    for (body, positions) in [
        (format!("[{unknown},1e999,{known},{unknown}]"), [0, 3]),
        (format!(r#"{{"rows":[{known},{{"a":1}},{unknown},1e999]}}"#), [1, 2]),
    ] {
        let batch = EventBatch::decode_by(body.as_bytes(), BatchFormat::Json, 9, strict).unwrap();
        let found: Vec<_> = batch.unknown_fields.iter().map(|(position, _)| *position).collect();
        assert_eq!(found, positions, "{body}");
    }
    let detail = "unknown field `\\u{9d}…`";
    let batch = format!("{{\"\\u009d{}\":1}}", "x".repeat(99));
    let batch = EventBatch::decode_by(batch.as_bytes(), BatchFormat::Lines, 9, strict).unwrap();
    assert!(batch.unknown_fields[0].1.detail.starts_with(&detail[..20]), "{batch:?}");
}

#[test]
fn an_event_of_another_user_than_the_senders_is_foreign_whatever_else_is_wrong_with_it() {
    let sender = Sender { users_prefix: Some("t1:é"), ..Sender::default() };
    let code = |event: &str| {
        let lines = EventBatch::decode_by(event.as_bytes(), BatchFormat::Lines, 1, sender);
        let array = format!("[{event}]");
        let array = EventBatch::decode_by(array.as_bytes(), BatchFormat::Json, 1, sender);
        let [lines, array] = [lines, array]
            .map(|batch| batch.unwrap().events.remove(0).err().map(|rejection| rejection.code));
        assert_eq!(lines, array, "{event}");
        lines
    };
    let event =
        |user: &str| format!(r#"{{"user_id":{user},"session_id":"s","event":"end","ts":0}}"#);
    for own in [r#""t1:é""#, r#""t1:éa""#, r#""t1:\u00e9b""#] {
        assert_eq!(code(&event(own)), None, "{own}");
    }
    // The last one is the same text to a reader, but not the same bytes.
    for other in [r#""t1:""#, r#""t1""#, r#""T1:é""#, r#"" t1:é""#, r#""t2:é""#, r#""t1:e\u0301""#]
    {
        assert_eq!(code(&event(other)), Some(RejectionCode::ForeignUser), "{other}");
    }
    assert_eq!(code(r#"{"player_id":"t2"}"#), Some(RejectionCode::ForeignUser));
    assert_eq!(code(r#"{"session_id":"s"}"#), Some(RejectionCode::MissingUserId));
    assert_eq!(code(r#"{"user_id":7}"#), Some(RejectionCode::InvalidUserId));
    assert_eq!(
        code(&event(r#""t1:é","player_id":"t2:é""#)),
        Some(RejectionCode::ConflictingUserId)
    );
}

#[test]
fn reading_stops_at_the_limit() {
    let array = format!("[{}this was never read", "0,".repeat(1_001));
    assert_eq!(json(array), Err(BatchError::TooManyEvents { limit: 1_000 }));
    assert_eq!(
        json(format!("[{}0]", "0,".repeat(500_000))),
        Err(BatchError::TooManyEvents { limit: 1_000 })
    );
}

#[test]
fn the_texts_are_worded_for_the_client() {
    let error = |body: &str| json(body).unwrap_err().to_string();
    assert_eq!(error("[1,]"), "the body is not valid JSON: trailing comma at line 1, column 4");
    assert_eq!(
        error("not json"),
        "the body is not valid JSON: unexpected character at line 1, column 2"
    );
    assert_eq!(
        error("{"),
        "the body is not valid JSON: the text is incomplete at line 1, column 1"
    );
    assert_eq!(error("[]"), "the batch is empty; send at least one event");
    assert_eq!(
        error("7"),
        "expected an array of events, or an object with such an array as `events` or `rows`"
    );
    assert_eq!(
        BatchError::TooManyEvents { limit: 3 }.to_string(),
        "a batch must have at most 3 events; send more in several requests"
    );
}
