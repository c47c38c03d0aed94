//! Single events: every code, and every peculiarity that real clients have sent.

use shared::event::{Country, Rejection, RejectionCode, SessionEvent, SessionId, UserId};
use shared::timestamp::{RETENTION, Timestamp};

const START: &str = r#""session_id":"s","event":"start","ts":0"#;
const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn parse(json: &str) -> Result<SessionEvent, Rejection> {
    SessionEvent::parse(json.as_bytes())
}

/// The code that rejects each of these texts.
#[track_caller]
fn refuses<T: AsRef<str>>(code: RejectionCode, texts: impl IntoIterator<Item = T>) {
    for text in texts {
        let text = text.as_ref();
        let shown: String = text.chars().take(200).collect();
        match parse(text) {
            Ok(event) => panic!("{shown} was read as {event:?}"),
            Err(rejection) => {
                assert_eq!(rejection.code, code, "{shown}: {}", rejection.detail);
                assert!(rejection.detail.chars().count() < 200, "too long: {}", rejection.detail);
                assert!(!rejection.detail.contains(char::is_control), "{:?}", rejection.detail);
            }
        }
    }
}

/// Parses an object with these members and valid others.
fn user(json: &str) -> String {
    format!("{{{json},{START}}}")
}

fn with(name: &str, json: &str) -> String {
    let valid = [
        ("user_id", "\"u\""),
        ("session_id", "\"s\""),
        ("event", "\"start\""),
        ("ts", "0"),
        ("country", "\"SK\""),
    ];
    let members =
        valid.map(|(key, value)| format!("\"{key}\":{}", if key == name { json } else { value }));
    format!("{{{}}}", members.join(","))
}

fn country(json: &str) -> Option<String> {
    match parse(&with("country", json)) {
        Ok(SessionEvent::Start { country, .. }) => Some(country.to_string()),
        _ => None,
    }
}

#[test]
fn a_start_is_read_with_all_its_fields() {
    let text = r#"{"user_id":"u","session_id":"s","event":"start","ts":"1970-01-01T00:00:01Z","country":"sk"}"#;
    let expected = SessionEvent::Start {
        user: UserId::new("u").unwrap(),
        session: SessionId::new("s").unwrap(),
        ts: Timestamp::from_millis(1_000).unwrap(),
        country: Country::normalise("SK"),
    };
    assert_eq!(parse(text), Ok(expected));
}

#[test]
fn an_end_is_read_whatever_its_country_holds() {
    for country in [r#""SK""#, "null", "7", "[]", r#""\ud800""#, "1e999"] {
        let text = format!(
            r#"{{"player_id":"u","session_id":"s","event":"end","ts":0,"country":{country}}}"#
        );
        assert!(matches!(parse(&text), Ok(SessionEvent::End { .. })), "{text}");
    }
}

#[test]
fn what_is_not_one_object_is_not_an_object() {
    let (start, deep) = (user(r#""user_id":"u""#), "[".repeat(100_000));
    let cases = [
        "",
        " ",
        "null",
        "true",
        "7",
        "-7",
        "0.5",
        "1e999",
        "\"text\"",
        r#""\ud800""#,
        "[]",
        "{",
        "{]",
        "{'a':1}",
        "{\"a\"}",
    ];
    refuses(RejectionCode::NotAnObject, cases);
    refuses(
        RejectionCode::NotAnObject,
        [format!("[{start}]"), format!("{start}{start}"), format!("{start},"), deep],
    );
    refuses(
        RejectionCode::NotAnObject,
        [start.replace('"', "'"), start[..start.len() - 1].to_owned()],
    );
}

#[test]
fn a_record_that_is_not_utf_8_is_not_an_object() {
    let mut text = user(r#""user_id":"?""#).into_bytes();
    text[12] = 0xFF;
    assert_eq!(SessionEvent::parse(&text).unwrap_err().code, RejectionCode::NotAnObject);
}

#[test]
fn a_control_character_as_such_in_a_string_is_broken_json() {
    refuses(
        RejectionCode::NotAnObject,
        [user("\"user_id\":\"a\0b\""), user("\"user_id\":\"a\nb\""), user("\"x\":\"\t\"")],
    );
}

#[test]
fn a_byte_order_mark_and_white_space_around_an_event_are_skipped() {
    let text = format!("\u{feff} \r\n\t{}\n ", user(r#""user_id":"u""#));
    assert!(parse(&text).is_ok());
    refuses(
        RejectionCode::NotAnObject,
        [format!("\u{feff}\u{feff}{text}"), format!("\u{a0}{}", user(r#""user_id":"u""#))],
    );
}

#[test]
fn absent_null_and_empty_are_missing() {
    use RejectionCode as Code;
    let codes = [
        ("user_id", Code::MissingUserId),
        ("session_id", Code::MissingSessionId),
        ("event", Code::MissingEvent),
        ("ts", Code::MissingTs),
    ];
    for (name, code) in codes {
        let absent = with(name, "0").replace(&format!("\"{name}\""), "\"other\"");
        refuses(code, [with(name, "null"), with(name, "\"\""), absent]);
    }
}

#[test]
fn another_type_is_invalid() {
    use RejectionCode as Code;
    let codes = [
        ("user_id", Code::InvalidUserId),
        ("session_id", Code::InvalidSessionId),
        ("event", Code::InvalidEvent),
        ("ts", Code::InvalidTs),
        ("country", Code::InvalidCountry),
    ];
    for (name, code) in codes {
        let wrong = [
            "true",
            "false",
            "1.5",
            "1e999",
            "[]",
            "{}",
            "[[\"a\"]]",
            r#"{"a":{"user_id":null}}"#,
            r#""\ud800""#,
        ];
        refuses(code, wrong.map(|json| with(name, json)));
        if name != "ts" {
            refuses(code, [with(name, "0"), with(name, "99999999999999999999999")]);
        }
    }
}

#[test]
fn the_first_fault_in_the_order_of_the_fields_is_named() {
    use RejectionCode as Code;
    refuses(Code::MissingUserId, ["{}", r#"{"country":1,"ts":true,"event":1,"session_id":1}"#]);
    refuses(
        Code::InvalidSessionId,
        [r#"{"country":1,"ts":true,"event":1,"session_id":1,"user_id":"u"}"#],
    );
    refuses(Code::MissingEvent, [r#"{"country":1,"ts":true,"session_id":"s","user_id":"u"}"#]);
    refuses(
        Code::InvalidTs,
        [r#"{"country":1,"ts":true,"event":"start","session_id":"s","user_id":"u"}"#],
    );
    refuses(
        Code::InvalidCountry,
        [r#"{"country":1,"ts":0,"event":"start","session_id":"s","user_id":"u"}"#],
    );
}

#[test]
fn a_repeated_key_is_named_in_the_order_of_the_fields_too() {
    refuses(RejectionCode::MissingUserId, [r#"{"ts":0,"ts":0}"#]);
    refuses(
        RejectionCode::DuplicateKey,
        [r#"{"user_id":"u","session_id":"s","session_id":"s","event":"no"}"#],
    );
    refuses(
        RejectionCode::InvalidEvent,
        [r#"{"user_id":"u","session_id":"s","event":"no","ts":0,"ts":0}"#],
    );
    refuses(RejectionCode::DuplicateKey, [r#"{"user_id":null,"user_id":7}"#]);
}

#[test]
fn a_known_key_twice_is_a_duplicate_key_even_with_equal_values() {
    for name in ["user_id", "session_id", "event", "ts", "country"] {
        let valid = with(name, "\"x\"");
        let twice = valid.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
        let (twice, null) =
            (twice.replace("\"ts\":\"x\"", "\"ts\":0"), twice.replacen("\"x\"", "null", 1));
        let expect_event = |text: String| text.replace("\"event\":\"x\"", "\"event\":\"start\"");
        refuses(RejectionCode::DuplicateKey, [expect_event(twice), expect_event(null)]);
    }
    refuses(
        RejectionCode::DuplicateKey,
        [user(r#""user_id":"a","user_id":"b""#), user(r#""player_id":"a","player_id":"b""#)],
    );
    refuses(RejectionCode::DuplicateKey, [user(r#""user_id":"u","\u0075ser_id":"u""#)]);
}

#[test]
fn a_country_twice_is_a_duplicate_key_on_an_end_too() {
    let text =
        r#"{"user_id":"u","session_id":"s","event":"end","ts":0,"country":"A","country":"A"}"#;
    refuses(RejectionCode::DuplicateKey, [text]);
}

#[test]
fn the_alias_beside_its_key_is_a_duplicate_while_they_agree() {
    refuses(
        RejectionCode::DuplicateKey,
        [
            user(r#""user_id":"u","player_id":"u""#),
            user(r#""player_id":"u","user_id":"\u0075""#),
            user(r#""user_id":null,"player_id":null"#),
            user(r#""user_id":"u","player_id":"u","user_id":"u""#),
        ],
    );
}

#[test]
fn the_alias_beside_its_key_conflicts_where_they_differ() {
    refuses(
        RejectionCode::ConflictingUserId,
        [
            user(r#""user_id":"u","player_id":"v""#),
            user(r#""player_id":"u","user_id":"v""#),
            user(r#""user_id":null,"player_id":"v""#),
            user(r#""user_id":"7","player_id":7"#),
            user(r#""user_id":"u","player_id":"u","user_id":"v""#),
            r#"{"user_id":"u","player_id":"v"}"#.to_owned(),
        ],
    );
}

#[test]
fn unknown_fields_are_ignored_whatever_they_hold() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000));
    let values = [
        "1e999",
        "99999999999999999999999",
        "-0",
        r#""\ud800""#,
        "{\"a\":1,\"a\":2}",
        &deep,
        &deep_object,
    ];
    for value in values {
        let text =
            user(&format!(r#""x":{value},"x":{value},"User_ID":1,"\ud800":1,"":1,"user_id":"u""#));
        assert!(parse(&text).is_ok(), "{}", &text[..60]);
    }
}

#[test]
fn ids_are_kept_byte_for_byte() {
    for id in [
        " u ",
        "null.",
        "nullable",
        "no ne",
        "nanny",
        "0",
        "guest",
        "anonymous",
        "unknown",
        "-",
        "ü",
        "u\u{308}",
        "\u{feff}u",
        "u\u{200b}v",
        "a\"b\\c",
        "日本",
        &"x".repeat(128),
    ] {
        assert_eq!(UserId::new(id).unwrap().as_str(), id);
        assert_eq!(SessionId::new(id).unwrap().to_string(), id);
    }
    let text = user(r#""user_id":"\u00fc\ud83d\ude00\/\"""#);
    assert_eq!(parse(&text).unwrap().user().as_str(), "ü😀/\"");
}

#[test]
fn an_id_is_at_most_128_bytes() {
    let (long, wide) = ("x".repeat(129), "ü".repeat(65));
    assert_eq!((UserId::new(""), UserId::new(&long), UserId::new(&wide)), (None, None, None));
    refuses(
        RejectionCode::InvalidUserId,
        [&long, &wide, &"x".repeat(100_000)].map(|id| with("user_id", &format!("\"{id}\""))),
    );
    assert!(UserId::new(&"ü".repeat(64)).is_some());
}

#[test]
fn an_id_holds_no_control_characters() {
    for control in
        ["\\u0000", "a\\u0000", "\\n", "\\u001f", "\\u007f", "\\u0080", "x\\u009fy", "ü\\u0085"]
    {
        refuses(RejectionCode::InvalidSessionId, [with("session_id", &format!("\"{control}\""))]);
    }
}

#[test]
fn literal_junk_is_no_id() {
    let simple = NIL.replace('-', "");
    let junk = [
        NIL,
        &simple,
        &format!("{{{NIL}}}"),
        &format!("{{{simple}}}"),
        &format!("urn:uuid:{NIL}"),
        &format!("URN:UUID:{NIL}"),
    ];
    let words = [
        "null",
        "undefined",
        "[object Object]",
        "NULL",
        "Null",
        "None",
        "none",
        "nil",
        "NaN",
        "Undefined",
        "true",
        "False",
        "[OBJECT object]",
        " null ",
        "\u{a0}None",
    ];
    let blank =
        [" ", "   ", "\u{a0}", "\u{200b}", "\u{feff}", "\u{ad}", "\u{3164}", "\u{2800} \u{2028}"];
    let (after, before) = (format!("{NIL} "), format!("\u{200b}{simple}"));
    let blanks = [after.as_str(), &before];
    for junk in words.into_iter().chain(blank).chain(blanks).chain(junk) {
        assert_eq!(UserId::new(junk), None, "{junk}");
        assert_eq!(SessionId::new(junk), None, "{junk}");
        refuses(RejectionCode::InvalidUserId, [with("user_id", &format!("\"{junk}\""))]);
        refuses(RejectionCode::InvalidSessionId, [with("session_id", &format!("\"{junk}\""))]);
    }
    assert!(UserId::new(&NIL[1..]).is_some() && UserId::new(&NIL.replace("0-", "1-")).is_some());
}

#[test]
fn an_id_that_an_earlier_version_accepted_can_be_read_from_the_store() {
    for id in ["None", "NULL", " ", "\u{200b}", "true", "u"] {
        assert_eq!(UserId::stored(id).unwrap().as_str(), id);
        assert_eq!(SessionId::stored(id).unwrap().as_str(), id);
    }
    for id in ["", "null", "undefined", "[object Object]", NIL, "a\0", &"x".repeat(129)] {
        assert_eq!(UserId::stored(id), None, "{id}");
    }
}

#[test]
fn an_event_that_an_endpoint_accepted_is_read_as_it_was_written() {
    // Letters that are one syllable in NFC.
    let letters = "\u{1112}\u{1161}\u{11ab}";
    let text = format!(
        r#"{{"user_id":"None","session_id":" ","event":"start","ts":0,"country":"{letters}"}}"#
    );
    let event = SessionEvent::parse_accepted(text.as_bytes()).unwrap();
    assert_eq!((event.user().as_str(), event.session().as_str()), ("None", " "));
    let SessionEvent::Start { country, .. } = event else { panic!("an end") };
    assert_eq!(country.as_str(), letters);
    refuses(RejectionCode::InvalidUserId, [text]);
    let null = with("user_id", "\"null\"");
    let code = SessionEvent::parse_accepted(null.as_bytes()).unwrap_err().code;
    assert_eq!(code, RejectionCode::InvalidUserId);
}

#[test]
fn the_detail_of_a_fault_says_what_to_change() {
    let detail = |text: &str| parse(text).unwrap_err().detail;
    let conflict = detail(&user(r#""user_id":"u","player_id":"v""#));
    for part in ["?id=user_id", "?id=player_id", "rename"] {
        assert!(conflict.contains(part), "{conflict}");
    }
    let ts = detail(&with("ts", "\"2026-11-28T09:30:00[Europe/Berlin]\""));
    assert_eq!(
        ts,
        "`ts` must be a time such as 2019-05-13T12:00:00Z, not \"2026-11-28T09:30:00[Europe/Berlin]\": \
         remove the name of the zone in brackets, and give an offset"
    );
}

#[test]
fn an_event_is_start_or_end_and_nothing_else() {
    for event in ["Start", "START", " start", "start ", "begin", "ends", "\\u0000"] {
        refuses(RejectionCode::InvalidEvent, [with("event", &format!("\"{event}\""))]);
    }
    assert!(parse(&with("event", r#""\u0073tart""#)).is_ok());
}

#[test]
fn a_number_is_a_time_when_it_is_whole_milliseconds_of_the_years_1_to_9999() {
    for millis in [0, -1, 1_557_748_800_000, Timestamp::MIN.millis(), Timestamp::MAX.millis()] {
        assert_eq!(
            parse(&with("ts", &millis.to_string())).map(|event| event.ts().millis()),
            Ok(millis)
        );
    }
    assert_eq!(parse(&with("ts", "-0")).map(|event| event.ts().millis()), Ok(0));
    let outside = [Timestamp::MIN.millis() - 1, Timestamp::MAX.millis() + 1, i64::MIN, i64::MAX]
        .map(|millis| millis.to_string());
    refuses(RejectionCode::InvalidTs, outside.map(|json| with("ts", &json)));
    let spelled = [
        "0.0",
        "1e3",
        "1E3",
        "1.5",
        "1e999",
        "-1e-999",
        "99999999999999999999999",
        "-99999999999999999999999",
    ];
    refuses(RejectionCode::InvalidTs, spelled.map(|json| with("ts", json)));
    refuses(
        RejectionCode::InvalidTs,
        ["\"1557748800000\"", "\"0\"", "\"now\"", "\"\\ud800\""].map(|json| with("ts", json)),
    );
}

#[test]
fn a_country_is_normalised() {
    let cases = [
        (r#""SK""#, "SK"),
        (r#"" sk\n""#, "SK"),
        (r#""Code""#, "CODE"),
        (r#""(.uk)""#, "UK"),
        (r#""NA""#, "NA"),
        (r#""null""#, "NULL"),
        (r#""straße""#, "STRASSE"),
        (r#""ﬃ""#, "FFI"),
        (r#""Österreich""#, "ÖSTERREICH"),
        (r#""slovenská republika""#, "SLOVENSKÁREPUBLI"),
        (r#""ßßßßßßßßßß""#, "SSSSSSSSSSSSSSSS"),
        (r#""中国""#, "中国"),
        (r#""a\u0000b""#, "AB"),
        (r#""👍""#, "ZZ"),
        (r#""--""#, "ZZ"),
        (r#"" ""#, "ZZ"),
        (r#""""#, "ZZ"),
        ("null", "ZZ"),
        // Composed and decomposed.
        ("\"Côte d'Ivoire\"", "CÔTEDIVOIRE"),
        ("\"Co\u{302}te d'Ivoire\"", "CÔTEDIVOIRE"),
        ("\"\u{1112}\u{1161}\u{11ab}\"", "한"),
        // Composed when the hyphen between them is dropped.
        ("\"\u{ac00}-\u{11a8}\"", "각"),
        ("\"A\u{30a}\u{212b}\"", "ÅÅ"),
    ];
    for (json, expected) in cases {
        assert_eq!(country(json).as_deref(), Some(expected), "{json}");
    }
    assert!(
        parse(&user(r#""user_id":"u""#)).is_ok_and(|event| format!("{event:?}").contains("ZZ"))
    );
}

#[test]
fn a_stored_country_is_read_back_only_as_it_was_normalised() {
    // The last two are of earlier versions, which did not compose characters.
    let letters = "\u{1112}\u{1161}\u{11ab}";
    for text in ["SK", "ZZ", "中国", "ÖSTERREICH", "1", "ABCDEFGHIJKLMNOP", letters, "\u{212b}"]
    {
        assert_eq!(Country::stored(text).unwrap().as_str(), text);
    }
    for text in ["", "sk", "S K", " SK", "ö", "ABCDEFGHIJKLMNOPQ", "-"] {
        assert_eq!(Country::stored(text), None, "{text}");
    }
}

#[test]
fn normalising_any_character_twice_changes_nothing() {
    for letter in '\0'..=char::MAX {
        let once = Country::normalise(letter.encode_utf8(&mut [0; 4]));
        assert_eq!(Country::normalise(once.as_str()), once);
        assert_eq!(Country::stored(once.as_str()), Some(once));
    }
}

#[test]
fn an_event_is_judged_by_the_time_of_its_record() {
    let at = |millis| parse(&with("ts", &format!("{millis}"))).unwrap();
    let now = Timestamp::from_millis(RETENTION + 1_000).unwrap();
    assert_eq!(at(now.millis() + 300_000).judge(now, now + 300_000), Ok(()));
    assert_eq!(at(now.millis() + 300_001).judge(now, now + 300_000), Err(RejectionCode::Future));
    assert_eq!(at(1_000).judge(now, now + 300_000), Ok(()));
    assert_eq!(at(999).judge(now, now + 300_000), Err(RejectionCode::Expired));
    assert_eq!(at(Timestamp::MAX.millis()).judge(now, now + i64::MAX), Ok(()));
    assert_eq!(at(Timestamp::MAX.millis()).judge(Timestamp::MAX, Timestamp::MAX), Ok(()));
    assert_eq!(
        at(Timestamp::MIN.millis()).judge(Timestamp::MAX, Timestamp::MAX),
        Err(RejectionCode::Expired)
    );
}

#[test]
fn a_code_has_one_spelling() {
    assert_eq!(RejectionCode::ALL.len(), 16);
    for code in RejectionCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert_eq!(code.to_string(), code.as_str());
    }
}

#[test]
fn a_detail_shows_only_the_beginning_of_what_was_sent() {
    for name in ["user_id", "event", "ts"] {
        let detail =
            parse(&with(name, &format!("\"{}\"", "\\u0007q".repeat(5_000)))).unwrap_err().detail;
        assert!(
            detail.matches('q').count() <= 64 && detail.contains('…') && detail.len() < 220,
            "{detail}"
        );
    }
}

#[test]
fn the_canonical_json_is_one_line_of_the_known_fields() {
    let text = |json: &str| {
        let mut out = b"before ".to_vec();
        parse(json).unwrap().write_json(&mut out);
        String::from_utf8(out).unwrap()
    };
    let start = r#"{"x":1,"country":"sk","ts":1,"event":"start","session_id":"s\u2028","player_id":"a\"\\b"}"#;
    let expected = "before {\"user_id\":\"a\\\"\\\\b\",\"session_id\":\"s\u{2028}\",\"event\":\"start\",\"ts\":\"1970-01-01T00:00:00.001Z\",\"country\":\"SK\"}";
    assert_eq!(text(start), expected);
    let end = r#"{"user_id":"u","session_id":"s","event":"end","ts":0,"country":"SK"}"#;
    assert_eq!(
        text(end),
        r#"before {"user_id":"u","session_id":"s","event":"end","ts":"1970-01-01T00:00:00Z"}"#
    );
}
