//! Tries every example of the served OpenAPI document with its own command line. The reply must
//! have the status and the body of the example.
//!
//! Tests here bring about the examples that no command line alone can bring about. The few that
//! would need a broken machine are listed with the reason.

use std::{
    collections::BTreeSet,
    io::{BufReader, Write},
    net::TcpStream,
    process::Command,
    thread,
};

use serde_json::Value;

use crate::{
    client::{Client, LINES, Reply, read_reply},
    command_line::bookend,
    data::project,
    seeds::ADDRESS,
    service::{Service, eventually, new_key},
};

use self::shown::{Shown, members, shown};

mod shown;

const AS_OF: [&str; 2] = ["--as-of", "2019-05-13T12:00:00Z"];
const SEED: &str = "data/seed-batch.json";

/// The names of the examples that are not tried, each with the reason.
const UNTRIED: [(&str, &str); 8] = [
    ("late", "needs a log that hangs for 12 seconds; ingest/tests/endpoint.rs has one"),
    ("log_refused", "needs a topic with another limit; brokers.rs has one"),
    ("throttled", "needs brokers with a quota; brokers.rs has one"),
    ("damaged", "needs a damaged row in the store; the tests of query_api::http::reply have one"),
    ("unavailable", "needs a store that is down; the tests of query_api::http::reply have one"),
    ("slow", "needs a store that does not reply for 12 seconds"),
    ("crowded", "needs 12 seconds without a permit; query-api/tests/reads/errors.rs does it"),
    ("busy", "needs 32 clients that read nothing; query-api/tests/reads/errors.rs does it"),
];

/// Runs a command line with the address of `service`; returns the status, the media type and the
/// body.
fn run(service: &Service, line: &str) -> (u16, String, String) {
    let line = line.replace(ADDRESS, &service.client().0.to_string());
    let end = r"\n%{http_code} %{content_type}";
    let script = format!("curl() {{ command curl -sS --noproxy '*' -w '{end}' \"$@\"; }}\n{line}");
    let done = Command::new("sh").args(["-c", &script]).current_dir(project()).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let failed = String::from_utf8_lossy(&done.stderr);
    let (body, end) = said.rsplit_once('\n').unwrap_or_else(|| panic!("{line}: {failed}"));
    let (status, media) = end.split_once(' ').unwrap();
    (status.parse().unwrap(), media.to_owned(), body.to_owned())
}

/// Starts a service with the batch of the first seed, and waits until queries return all of it.
fn seeded(data: &std::path::Path, more: &[&str]) -> Service {
    let service = Service::start(data, &[&AS_OF[..], more].concat());
    let batch = std::fs::read(project().join(SEED)).unwrap();
    assert_eq!(service.client().post("/user/batches", &[], &batch).unwrap().status, 200);
    service.wait_until_answered(8);
    service
}

fn description(service: &Service) -> Value {
    service.client().ask("/openapi.json")
}

/// Sends the head of a request that announces `length` bytes of body, and the first `sent` bytes.
fn begin(client: Client, method: &str, path: &str, length: usize, sent: usize) -> TcpStream {
    let mut stream = client.connect().unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    stream.write_all(&vec![b' '; sent]).unwrap();
    stream
}

fn assert_shown(all: &[Shown], method: &str, path: &str, name: &str, reply: &Reply) {
    let shown = all.iter().find(|one| {
        (one.method.as_str(), one.path.as_str(), one.name.as_str()) == (method, path, name)
    });
    let shown = shown.unwrap_or_else(|| panic!("{method} {path} has no example {name}"));
    shown.assert_said(reply.status, reply.header("content-type").unwrap(), &reply.text());
    let retry = reply.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert_eq!(
        retry.is_some(),
        shown.media == "application/json" && [429, 503].contains(&shown.status),
        "{shown:?}"
    );
}

#[test]
fn every_example_with_a_command_line_is_what_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &[]);
    let all = shown(&description(&service));
    let mut tried = 0;
    for one in &all {
        if let Some(line) = one.command() {
            let (status, media, body) = run(&service, line);
            one.assert_said(status, &media, &body);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn an_example_without_a_command_line_is_tried_by_a_test_or_named_with_the_reason() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &[]);
    let all = shown(&description(&service));
    let left: BTreeSet<_> =
        all.iter().filter(|one| one.command().is_none()).map(|one| one.name.as_str()).collect();
    let tried =
        ["slow_body", "over_quota", "inflight", "log", "full_disk"].into_iter().chain(DENIED);
    assert_eq!(left, UNTRIED.iter().map(|(name, _)| *name).chain(tried).collect());
}

#[test]
fn every_body_that_may_be_sent_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &[]);
    let mut sent = 0;
    for (path, item) in members(&description(&service)["paths"]) {
        for (media, content) in members(&item["post"]["requestBody"]["content"]) {
            for (name, example) in members(&content["examples"]) {
                let body = match &example["value"] {
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                let headers = [("content-type", media.as_str()), ("accept", "application/json")];
                let reply = service.client().post(path, &headers, body.as_bytes()).unwrap();
                let events = if media == LINES.1 {
                    3
                } else if name == "rows" {
                    1
                } else {
                    2
                };
                assert_eq!(
                    (reply.status, &reply.json()["accepted"]),
                    (200, &Value::from(events)),
                    "{path} {name}"
                );
                sent += 1;
            }
        }
    }
    assert_eq!(sent, 12);
    // All of them are events of the seed, so sending them changes no reply.
    let starts = &service.client().ask("/v1/session-starts/counts?days=365")["countries"];
    assert_eq!(members(starts).map(|(_, starts)| starts.as_u64().unwrap()).sum::<u64>(), 5);
}

#[test]
fn a_body_that_does_not_come_is_answered_as_the_examples_say() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &[]);
    let all = shown(&description(&service));
    let slow: Vec<_> = all.iter().filter(|one| one.name == "slow_body").collect();
    assert_eq!(slow.len(), 4);
    thread::scope(|scope| {
        for one in slow {
            let (client, all) = (service.client(), &all);
            scope.spawn(move || {
                let stream = begin(client, &one.method, &one.path, 10, 1);
                let reply = read_reply(&mut BufReader::new(stream)).unwrap();
                assert_shown(all, &one.method, &one.path, "slow_body", &reply);
            });
        }
    });
}

#[test]
fn a_client_over_its_quota_is_answered_as_the_examples_say() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &["--quota", "1000"]);
    let all = shown(&description(&service));
    let batch = b"{}\n".repeat(1_000);
    for path in ingest::http::PATHS {
        let refused = eventually("the quota is used up", || {
            let reply = service.client().post(path, &[LINES], &batch).unwrap();
            (reply.status == 429).then_some(reply)
        });
        assert_shown(&all, "POST", path, "over_quota", &refused);
    }
}

/// The examples of keys that are not enough.
const DENIED: [&str; 3] = ["no_key", "missing_right", "foreign_user"];

#[test]
fn who_has_no_key_or_one_with_other_rights_is_answered_as_the_examples_say() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("keys.toml");
    let other = format!("Bearer {}", new_key(&file, "other", "erase"));
    let keys = ["--keys", file.to_str().unwrap()];
    let tenant = ["key", "new", "--id", "tenant", "--rights", "read", "--users-prefix", "t1:"];
    let tenant = String::from_utf8(bookend(&[&tenant[..], &keys].concat()).stdout).unwrap();
    let tenant = format!("Bearer {}", tenant.trim_end());
    let service = Service::start(&data.path().join("data"), &[&AS_OF[..], &keys].concat());
    let all = shown(&description(&service));
    let denied: Vec<_> = all.iter().filter(|one| [401, 403].contains(&one.status)).collect();
    // 13 calls, of which 9 are about users.
    assert_eq!(denied.len(), 2 * 13 + 9);
    for Shown { method, path, name, .. } in denied {
        let key = if name == "foreign_user" { &tenant } else { &other };
        let bearer = ("authorization", key.as_str());
        let headers = if name == "no_key" { &[][..] } else { &[bearer] };
        let user = format!("{}?user_id=user", path.replace(['{', '}'], ""));
        let reply = service.client().send(method, &user, headers, br#"{"user_id":"user"}"#);
        let reply = reply.unwrap();
        assert_shown(&all, method, path, name, &reply);
        assert_eq!(reply.header("www-authenticate").is_some(), reply.status == 401, "{path}");
    }
}

#[test]
fn a_body_for_which_there_is_no_room_is_answered_as_the_examples_say() {
    let data = tempfile::tempdir().unwrap();
    let service = seeded(data.path(), &["--max-inflight", "2MiB", "--body-timeout", "10m"]);
    let all = shown(&description(&service));
    // Both bodies stay unfinished and hold the bytes that they have sent.
    let held = [(); 2].map(|()| begin(service.client(), "POST", "/", 1 << 20, 1_000_000));
    // An earlier body could otherwise take the place of one of them.
    eventually("both bodies are held", || {
        (service.metrics().sum("bookend_ingest_inflight_bytes") >= 2_000_000.0).then_some(())
    });
    for path in ingest::http::PATHS {
        assert_shown(
            &all,
            "POST",
            path,
            "inflight",
            &service.client().post(path, &[], &[b' '; 200_000]).unwrap(),
        );
    }
    drop(held);
}

#[test]
fn a_full_disk_is_answered_as_the_examples_say() {
    let data = tempfile::tempdir().unwrap();
    drop(seeded(data.path(), &[]));
    let service = Service::begin(crate::service::serve(
        data.path(),
        &[&AS_OF[..], &["--min-free-disk", "1000000GiB"]].concat(),
    ));
    let ready = eventually("the disk was looked at", || {
        let reply = service.client().get("/readyz").ok()?;
        (reply.status == 503).then_some(reply)
    });
    let all = shown(&description(&service));
    assert_shown(&all, "GET", "/readyz", "full_disk", &ready);
    let batch = std::fs::read(project().join(SEED)).unwrap();
    for path in ingest::http::PATHS {
        assert_shown(&all, "POST", path, "log", &service.client().post(path, &[], &batch).unwrap());
    }
}
