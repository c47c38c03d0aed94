//! The reply to each kind of request.

use serde_json::json;
use test_support::connection::{Connection, ask, bare, request};

use super::{Server, batch, start};

const EXPIRED: &str =
    r#"{"user_id":"old","session_id":"s","event":"end","ts":"2025-02-01T11:00:00Z"}"#;
const FUTURE: &str =
    r#"{"user_id":"new","session_id":"s","event":"end","ts":"2026-03-01T12:30:00Z"}"#;
const NAMELESS: &str = r#"{"session_id":"s","event":"end","ts":"2026-03-01T11:30:00Z"}"#;
const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn each_event_of_a_batch_is_answered_for_itself() {
    let server = Server::start().await;
    let body = format!("[{},{EXPIRED},{NAMELESS},{},{FUTURE},7]", start("a"), start("b"));
    let reply = ask(server.address, request("POST", "/v1/events", &[JSON], body)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let mut said = reply.json();
    for rejected in said["rejected"].as_array_mut().unwrap() {
        let detail = rejected.as_object_mut().unwrap().remove("detail").unwrap();
        assert!(!detail.as_str().unwrap().is_empty());
    }
    let expected = json!({
        "message": "POST success",
        "accepted": 2,
        "discarded": [{"index": 1, "code": "expired"}],
        "rejected": [
            {"index": 2, "code": "missing_user_id"},
            {"index": 4, "code": "future"},
            {"index": 5, "code": "not_an_object"},
        ],
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_batch_without_a_fault_is_answered_to_the_letter() {
    let server = Server::start().await;
    let reply = ask(server.address, request("POST", "/v1/events", &[JSON], batch(3))).await;
    assert_eq!(
        reply.text(),
        r#"{"message":"POST success","accepted":3,"discarded":[],"rejected":[]}"#
    );
}

#[tokio::test]
async fn what_was_answered_200_is_in_the_log_byte_for_byte() {
    let server = Server::start().await;
    let users = ["a", "ü", r#"q\"\\"#, "b"];
    let body = format!("[{}]", users.map(start).join(","));
    assert_eq!(ask(server.address, request("POST", "/v1/events", &[JSON], body)).await.status, 200);
    let records = server.after_a_restart().await;
    let mut values: Vec<_> = records.iter().map(|record| record.value.clone().unwrap()).collect();
    let mut expected = users.map(start).to_vec();
    values.sort();
    expected.sort();
    assert_eq!(values, expected);
    let keys: Vec<_> = records.iter().map(|record| record.key.as_deref().unwrap()).collect();
    for user in ["a", "ü", r#"q"\"#, "b"] {
        assert!(keys.contains(&user.as_bytes()), "{user}");
    }
}

#[tokio::test]
async fn rows_at_the_root_are_answered_in_text() {
    let server = Server::start().await;
    let body = format!(r#"{{"rows":{}}}"#, batch(2));
    for accept in ["accept: */*", "x: y"] {
        let reply = ask(server.address, request("POST", "/", &[JSON, accept], &body)).await;
        assert_eq!((reply.status, reply.text()), (200, "POST success"));
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"));
    }
}

#[tokio::test]
async fn rows_at_the_root_are_answered_in_json_to_who_asks_for_it() {
    let server = Server::start().await;
    let body = format!(r#"{{"rows":{}}}"#, batch(2));
    let accept = "accept: text/html, application/json;q=0.9";
    let reply = ask(server.address, request("POST", "/", &[JSON, accept], body)).await;
    assert_eq!(reply.json()["accepted"], 2);
}

#[tokio::test]
async fn rows_that_are_all_refused_are_no_success_at_the_root() {
    let server = Server::start().await;
    let reply = ask(server.address, request("POST", "/", &[JSON], r#"{"rows":[{}]}"#)).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "nothing_usable"));
}

#[tokio::test]
async fn every_address_takes_every_shape() {
    let server = Server::start().await;
    let lines = format!("{}\n\n{}\r\n", start("a"), start("b"));
    let shapes = [
        (JSON, batch(2)),
        (JSON, format!(r#"{{"events":{}}}"#, batch(2))),
        (JSON, format!(r#"{{"rows":{}}}"#, batch(2))),
        ("content-type: application/x-ndjson", lines),
    ];
    for path in ["/v1/events", "/user/batches", "/", "/user/batches?source=test", "/?_=%FF"] {
        for (kind, body) in &shapes {
            let headers = [*kind, "accept: application/json"];
            let reply = ask(server.address, request("POST", path, &headers, body)).await;
            assert_eq!(
                (reply.status, &reply.json()["accepted"]),
                (200, &json!(2)),
                "{path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn rows_at_the_root_of_which_nothing_is_kept_are_answered_in_json() {
    let server = Server::start().await;
    let body = format!(r#"{{"rows":[{EXPIRED}]}}"#);
    let reply = ask(server.address, request("POST", "/", &[JSON], &body)).await;
    let expected = json!({"message": "POST success", "accepted": 0, "discarded": [{"index": 0, "code": "expired"}], "rejected": []});
    assert_eq!((reply.status, reply.json()), (200, expected));
    let body = format!(r#"{{"rows":[{EXPIRED},{}]}}"#, start("a"));
    let reply = ask(server.address, request("POST", "/", &[JSON], &body)).await;
    assert_eq!((reply.status, reply.text()), (200, "POST success"));
}

#[tokio::test]
async fn a_time_in_seconds_is_expired_and_asked_about() {
    let server = Server::start().await;
    let event = |ts: i64| format!(r#"{{"user_id":"u","session_id":"s","event":"end","ts":{ts}}}"#);
    let times = [1_772_366_400, 999_999_999, 1_000_000_000, 9_999_999_999, 10_000_000_000];
    let body = format!("[{}]", times.map(event).join(","));
    let reply = ask(server.address, request("POST", "/v1/events", &[JSON], body)).await;
    let discarded = reply.json()["discarded"].clone();
    let asked = discarded.as_array().unwrap().iter().map(|entry| {
        assert_eq!(entry["code"], "expired");
        entry["detail"].as_str().is_some_and(|detail| detail.contains("were seconds meant?"))
    });
    assert_eq!(
        (reply.status, asked.collect::<Vec<_>>()),
        (200, vec![true, false, true, true, false])
    );
    assert!(discarded[0]["detail"].as_str().unwrap().contains("1772366400000"), "{discarded}");
    assert_eq!(server.appended(), 0);
}

#[tokio::test]
async fn times_are_taken_as_clients_print_them() {
    let server = Server::start().await;
    let times = [
        "2026-02-28T09:30Z",
        "2026-02-28T09:30:00.000+0000",
        "2026-02-28 09:30:00+00",
        "2026-02-28 09:30:00 UTC",
    ];
    let event =
        |ts: &str| format!(r#"{{"user_id":"u","session_id":"s","event":"end","ts":"{ts}"}}"#);
    let body =
        format!("[{},{}]", times.map(event).join(","), event("2026-02-28T09:30:00[Europe/Berlin]"));
    let reply = ask(server.address, request("POST", "/v1/events", &[JSON], body)).await.json();
    assert_eq!(
        (&reply["accepted"], &reply["rejected"][0]["code"]),
        (&json!(4), &json!("invalid_ts"))
    );
    let detail = reply["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("the name of the zone in brackets"), "{detail}");
    for record in server.after_a_restart().await {
        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        assert!(value.contains(r#""ts":"2026-02-28T09:30:00Z""#), "{value}");
    }
}

#[tokio::test]
async fn a_client_chooses_the_key_of_the_user() {
    let server = Server::start().await;
    let both = start("a").replace(r#""user_id""#, r#""player_id":"b","user_id""#);
    let post = async |path: &str| {
        ask(server.address, request("POST", path, &[JSON], format!("[{both}]"))).await
    };
    let reply = post("/v1/events").await;
    let rejected = reply.json()["rejected"][0].clone();
    assert_eq!((reply.status, &rejected["code"]), (400, &json!("conflicting_user_id")));
    assert!(rejected["detail"].as_str().unwrap().contains("?id=user_id"), "{rejected}");
    for path in ["/v1/events?id=user_id", "/user/batches?_=1&id=player_id"] {
        assert_eq!(post(path).await.json()["accepted"], 1, "{path}");
    }
    for (path, code) in [
        ("/v1/events?id=ts", "invalid_id"),
        ("/?id=", "invalid_id"),
        ("/v1/events?id=user_id&id=user_id", "repeated_parameter"),
        ("/v1/events?id=%FF", "invalid_query"),
        ("/v1/events?_=1", "unknown_parameter"),
    ] {
        let reply = post(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{path}");
    }
    let mut users: Vec<_> =
        server.after_a_restart().await.into_iter().map(|record| record.key.unwrap()).collect();
    users.sort();
    assert_eq!(users, ["a", "b"]);
}

#[tokio::test]
async fn lines_are_read_under_every_name_that_clients_give_them() {
    let server = Server::start().await;
    let kinds = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/json-lines",
        "application/x-ldjson",
        "application/stream+json",
        "text/x-ndjson",
        "Application/X-NDJSON; charset=utf-8",
    ];
    let body = format!("{}\n{}\n", start("a"), start("b"));
    for kind in kinds {
        let kind = format!("content-type: {kind}");
        let reply = ask(server.address, request("POST", "/v1/events", &[&kind], &body)).await;
        assert_eq!((reply.status, &reply.json()["accepted"]), (200, &json!(2)), "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_curl_has_changed_is_400_with_the_change() {
    let server = Server::start().await;
    let form = "content-type: application/x-www-form-urlencoded";
    let lines = "content-type: application/x-ndjson";
    let event = start("a");
    for (kind, body, code, word) in [
        (form, "%5B%7B%22user_id%22%3A%22a%22%7D%5D".to_owned(), "not_json", "percent-encoded"),
        (lines, format!("{event}{event}"), "not_a_batch", "newline"),
    ] {
        let reply = ask(server.address, request("POST", "/v1/events", &[kind], body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code));
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn the_index_of_a_line_counts_events_and_not_lines() {
    let server = Server::start().await;
    let body = format!("\n{}\n\nnonsense\n", start("a"));
    let reply = ask(
        server.address,
        request("POST", "/v1/events", &["content-type: application/x-ndjson"], body),
    )
    .await;
    assert_eq!(reply.json()["rejected"][0]["index"], 1);
}

#[tokio::test]
async fn an_unknown_field_is_the_last_of_all_faults_and_only_for_who_asks() {
    let server = Server::start().await;
    let unknown = |event: &str| event.replacen('{', r#"{"contry":"SK","x":1,"#, 1);
    let events = [&start("a"), &start("b"), EXPIRED, NAMELESS, FUTURE].map(unknown);
    let known = start("c");
    let body = format!("[{},{known},{}]", events[0], events[1..].join(","));
    let post = async |path: &str| {
        ask(server.address, request("POST", path, &[JSON], body.clone())).await.json()
    };
    for path in ["/v1/events", "/user/batches", "/"] {
        for (query, accepted, rejected) in [
            ("", 3, json!([[4, "missing_user_id"], [5, "future"]])),
            ("?strict=false", 3, json!([[4, "missing_user_id"], [5, "future"]])),
            (
                "?strict=true",
                1,
                json!([
                    [0, "unknown_field"],
                    [2, "unknown_field"],
                    [4, "missing_user_id"],
                    [5, "future"]
                ]),
            ),
        ] {
            let said = post(&format!("{path}{query}")).await;
            let shown = said["rejected"].as_array().unwrap().iter();
            let shown: Vec<_> = shown.map(|it| json!([it["index"], it["code"]])).collect();
            assert_eq!((&said["accepted"], json!(shown)), (&json!(accepted), rejected), "{query}");
            assert_eq!(said["discarded"], json!([{"index": 3, "code": "expired"}]), "{query}");
        }
    }
    let detail = post("/v1/events?strict=true").await["rejected"][0]["detail"].clone();
    assert!(detail.as_str().unwrap().starts_with("unknown field `contry`"), "{detail}");
    for (query, code) in [
        ("strict=1", "invalid_strict"),
        ("strict", "invalid_strict"),
        ("strict=true&strict=true", "repeated_parameter"),
    ] {
        assert_eq!(post(&format!("/?{query}")).await["error"]["code"], code, "{query}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_400_with_the_reason() {
    let server = Server::start().await;
    let bodies = [
        ("{", "not_json"),
        ("\u{0}", "not_json"),
        ("[] []", "not_json"),
        ("", "empty_batch"),
        (" \n", "empty_batch"),
        ("[]", "empty_batch"),
        (r#"{"events":[]}"#, "empty_batch"),
        ("7", "not_a_batch"),
        ("{}", "not_a_batch"),
        (r#"{"rows":7}"#, "not_a_batch"),
        (r#"{"rows":[],"events":[]}"#, "not_a_batch"),
        (NAMELESS, "not_a_batch"),
    ];
    for (body, code) in bodies {
        let reply = ask(server.address, request("POST", "/v1/events", &[JSON], body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{body}");
        assert!(!reply.json()["error"]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(server.appended(), 0);
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_usable_is_400_with_the_fate_of_each_event() {
    let server = Server::start().await;
    let body = format!("[{NAMELESS},{FUTURE}]");
    let reply = ask(server.address, request("POST", "/v1/events", &[JSON], body)).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "nothing_usable"));
    let said = reply.json();
    assert_eq!((&said["accepted"], &said["discarded"]), (&json!(0), &json!([])));
    assert_eq!(
        (&said["rejected"][0]["code"], &said["rejected"][1]["code"]),
        (&json!("missing_user_id"), &json!("future"))
    );
}

#[tokio::test]
async fn a_batch_that_is_only_too_old_is_nobody_s_fault() {
    let server = Server::start().await;
    let reply =
        ask(server.address, request("POST", "/v1/events", &[JSON], format!("[{EXPIRED}]"))).await;
    assert_eq!((reply.status, &reply.json()["accepted"]), (200, &json!(0)));
    assert_eq!(server.appended(), 0);
}

#[tokio::test]
async fn json_is_read_under_every_name_that_clients_give_it() {
    let server = Server::start().await;
    let kinds = [
        "x-no-content-type: 1",
        "content-type: application/json",
        "content-type: Application/JSON; charset=utf-8",
        "content-type: application/x-www-form-urlencoded",
        "content-type: text/plain;charset=UTF-8",
    ];
    for kind in kinds {
        assert_eq!(
            ask(server.address, request("POST", "/v1/events", &[kind], batch(1))).await.status,
            200,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn another_media_type_is_415() {
    let server = Server::start().await;
    for kind in ["application/xml", "multipart/form-data; boundary=x", "json", "text/html"] {
        let kind = format!("content-type: {kind}");
        let reply = ask(server.address, request("POST", "/v1/events", &[&kind], batch(1))).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (415, "unsupported_media_type"),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn another_method_is_405_with_the_one_that_is_allowed() {
    let server = Server::start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE"] {
        let reply = ask(server.address, request(method, "/v1/events", &[], "")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
        assert_eq!(reply.code(), "method_not_allowed");
    }
}

#[tokio::test]
async fn the_head_of_an_address_that_takes_batches_is_405() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send([bare("HEAD", "/v1/events"), request("POST", "/v1/events", &[], batch(1))].concat())
        .await;
    assert_eq!(connection.reply_to_head().await.unwrap().status, 405);
    assert_eq!(connection.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn another_address_is_404() {
    let server = Server::start().await;
    for path in ["/v1", "/v1/events/", "/v1/events/x", "//", "/user/batches%2F"] {
        let reply = ask(server.address, request("POST", path, &[], batch(1))).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(server.appended(), 0);
}

#[tokio::test]
async fn what_is_counted_is_what_was_sent() {
    let server = Server::start().await;
    let body = format!("[{},{EXPIRED},{NAMELESS},{}]", start("a"), start("a"));
    ask(server.address, request("POST", "/v1/events", &[JSON], body)).await;
    ask(server.address, request("POST", "/v1/events", &[JSON], format!("[{NAMELESS},{FUTURE}]")))
        .await;
    ask(server.address, request("POST", "/v1/events", &[JSON], "[")).await;
    let events = |labels: &str| server.metric(&format!("bookend_ingest_events_total{{{labels}}}"));
    assert_eq!(server.accepted(), 2.0);
    assert_eq!(events(r#"code="expired",outcome="discarded""#), 1.0);
    assert_eq!(events(r#"code="missing_user_id",outcome="rejected""#), 2.0);
    assert_eq!(events(r#"code="future",outcome="rejected""#), 1.0);
    assert_eq!(server.metric(r#"bookend_ingest_requests_total{key="none",status="200"}"#), 1.0);
    assert_eq!(server.metric(r#"bookend_ingest_requests_total{key="none",status="400"}"#), 2.0);
    assert_eq!(server.metric("bookend_ingest_batch_events_sum"), 6.0);
    assert_eq!(server.metric("bookend_log_queue_records"), 0.0);
    assert_eq!(server.inflight(), 0.0);
}
