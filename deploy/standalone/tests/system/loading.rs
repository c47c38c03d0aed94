//! `bookend load` of files as people have them: its exit status, its words, and what it delivers.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use test_support::origin::Origin;
use tokio::runtime::Runtime;

use crate::{
    client::Client,
    command_line::{bookend, said},
    data::{ENDING_AT, generate, joined, project},
    service::{BOOKEND, Service},
};

/// Runs `bookend load` with standard output and standard error in one pipe, as a terminal shows it.
fn load(client: Client, file: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut shell = Command::new("sh");
    shell.env_clear().args(["-c", r#"exec "$0" load "$@" 2>&1"#, BOOKEND]).arg(file);
    shell.args(["--url", &format!("http://{}", client.0)]).args(more);
    let done = shell.stdin(Stdio::null()).output().unwrap();
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

/// The number in the line `name` of a summary.
fn shown(summary: &str, name: &str) -> usize {
    let line = summary.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line[name.len()..].split_whitespace().next().unwrap();
    number.replace(',', "").parse().unwrap()
}

#[test]
fn the_seed_s_array_is_loaded_as_eight_events() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", "2019-05-13T12:00:00Z"]);
    let (status, summary) = load(service.client(), &project().join("data/seed-batch.json"), &[]);
    assert_eq!(status, Some(0), "{summary}");
    assert_eq!([shown(&summary, "sent"), shown(&summary, "accepted")], [8; 2], "{summary}");
    service.wait_until_answered(8);
    service.stop();
}

#[test]
fn what_holds_no_events_is_a_failure_that_gives_its_reason_first() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let csv = "user_id,session_id,event,ts,country\nu,s,start,2016-12-01T00:00:00Z,SK\n";
    let old = r#"{"user_id":"u","session_id":"s","event":"end","ts":"2014-01-01T00:00:00Z"}"#;
    for (name, content, reason) in [
        ("events.csv", csv, "this is CSV"),
        ("events.zip", "PK\x03\x04\x14\0", "this is a ZIP archive"),
        ("events.html", "<!DOCTYPE html><html></html>", "this is an HTML page"),
        ("empty.ndjson", "", "no event was accepted: the input has no events"),
        ("blank.json", " [ ]\n", "no event was accepted: the input has no events"),
        ("rejected.ndjson", "{}\n{}\n", "the first rejected event is line 1 of "),
        ("rejected.json", "[{},{}]", "the first rejected event is index 0 of "),
        ("old.ndjson", old, "older than one year"),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        let (status, text) = load(service.client(), &file, &[]);
        assert_eq!(status, Some(1), "{name}: {text}");
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("bookend: ") && first.contains(reason), "{name}: {text}");
        let (status, text) = load(service.client(), &file, &["--json"]);
        assert_eq!(status, Some(1), "{name}: {text}");
        let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(summary["accepted"], 0, "{name}: {text}");
        assert!(summary["failure"].as_str().unwrap().contains(reason), "{name}: {text}");
    }
    let missing = dir.path().join("missing");
    for (path, reason) in [
        (dir.path(), "directory"),
        (Path::new("/dev/null"), "no events"),
        (Path::new("-"), "no events"),
        (missing.as_path(), "cannot open"),
    ] {
        let (status, text) = load(service.client(), path, &[]);
        assert_eq!(status, Some(1), "{}: {text}", path.display());
        assert!(text.starts_with("bookend: ") && text.contains(reason), "{text}");
        assert_eq!(text.lines().count(), 1, "there is nothing to sum up: {text}");
    }
    assert_eq!(service.metrics().sum("bookend_consumer_records_total"), 0.0);
    service.stop();
}

#[test]
fn a_gzip_file_with_padding_is_loaded_and_one_that_broke_off_says_so() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let lines = generate("clean", 50, 1);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&joined(&lines)).unwrap();
    let whole = gzip.finish().unwrap();
    let file = dir.path().join("events.ndjson.gz");

    std::fs::write(&file, [&whole[..], &[0; 512]].concat()).unwrap();
    let (status, text) = load(service.client(), &file, &[]);
    assert_eq!((status, shown(&text, "accepted")), (Some(0), lines.len()), "{text}");

    std::fs::write(&file, &whole[..whole.len() - 6]).unwrap();
    let (status, text) = load(service.client(), &file, &[]);
    assert_eq!((status, shown(&text, "accepted")), (Some(1), lines.len()), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains("broke off"), "{text}");
    service.stop();
}

#[test]
fn rejected_events_are_written_to_a_file_and_end_a_strict_load() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let event = |user: &str, ts: &str| {
        json!({ "user_id": user, "session_id": "s", "event": "end", "ts": ts }).to_string()
    };
    let lines = [
        event("u", "2016-12-01T00:00:00Z"),
        event("", "2016-12-01T00:00:00Z"),
        event("u", "2014-12-01T00:00:00Z"),
    ];
    let (file, rejects) = (dir.path().join("some.ndjson"), dir.path().join("rejects"));
    std::fs::write(&file, lines.join("\n")).unwrap();
    let flags = ["--rejects", rejects.to_str().unwrap()];
    let written = || -> Vec<Value> {
        let text = std::fs::read_to_string(&rejects).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (status, text) = load(service.client(), &file, &flags);
    assert_eq!((status, shown(&text, "accepted")), (Some(0), 1), "{text}");
    let mut found = written();
    found.sort_by_key(|line| line["line"].as_u64());
    assert_eq!((&found[0]["line"], &found[0]["code"]), (&2.into(), &"missing_user_id".into()));
    assert!(found[0]["detail"].as_str().unwrap().contains("user_id"), "{found:?}");
    assert_eq!((&found[1]["line"], &found[1]["code"]), (&3.into(), &"expired".into()));
    assert_eq!((found.len(), &found[0]["file"]), (2, &file.to_str().unwrap().into()));

    let (status, text) = load(service.client(), &file, &[&flags[..], &["--strict"]].concat());
    assert_eq!(status, Some(1), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains("--strict: stopped at line 2 of "), "{text}");
    assert_eq!(written().len(), 2);

    let input = file.to_str().unwrap();
    let (status, text) = load(service.client(), &file, &["--rejects", input]);
    assert_eq!(status, Some(1), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lines.join("\n"), "it is untouched");
    service.stop();
}

#[test]
fn ctrl_c_ends_a_load_with_the_summary_so_far() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["load", "-", "--batch", "10", "--concurrency", "1", "--url"]);
    command.arg(format!("http://{}", service.client().0));
    let mut load = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = load.stdin.take().unwrap();
    input.write_all(&joined(&generate("clean", 20, 1)[..25])).unwrap();
    service.wait_until_answered(20);
    let kill = format!("kill -INT {}", load.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let done: Output = load.wait_with_output().unwrap();
    // The input is open until here, so the command has not ended by itself.
    drop(input);
    let summary = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(130), "{summary}{}", said(&done));
    assert!(said(&done).starts_with("bookend: interrupted"), "{}", said(&done));
    assert_eq!(shown(&summary, "sent"), 20, "{summary}");
    service.stop();
}

#[test]
fn the_key_is_read_from_the_environment_sent_to_the_service_and_never_printed() {
    let (runtime, dir) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let reply = r#"{"message":"POST success","accepted":1,"discarded":[],"rejected":[]}"#;
    let origin = runtime.block_on(Origin::start(None, "200 OK", reply));
    let (events, key) = (dir.path().join("events.ndjson"), dir.path().join("key"));
    std::fs::write(&events, "{}\n").unwrap();
    std::fs::write(&key, "bk_file_secret\n").unwrap();
    let key = key.to_str().unwrap();
    for (variable, value, sent) in [
        ("BOOKEND_API_KEY", "bk_variable_secret", "bk_variable_secret"),
        ("BOOKEND_API_KEY_FILE", key, "bk_file_secret"),
    ] {
        let mut command = Command::new(BOOKEND);
        command.env_clear().env(variable, value).args(["load", "--url", &origin.url()]);
        let done = command.arg(&events).stdin(Stdio::null()).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        let request = origin.requests().pop().unwrap();
        assert!(request.contains(&format!("authorization: bearer {sent}\r\n")), "{request}");
        assert!(!said(&done).contains("secret"), "{}", said(&done));
    }

    let missing = [("BOOKEND_API_KEY_FILE", "/nowhere/key")];
    let mut command = Command::new(BOOKEND);
    command.env_clear().envs(missing).args(["load", "--url", &origin.url()]).arg(&events);
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(done.status.code(), Some(64), "{}", said(&done));
    assert!(said(&done).contains("BOOKEND_API_KEY_FILE: /nowhere/key"), "{}", said(&done));
    let flag = bookend(&["load", "--api-key", "bk_flag_secret", "-"]);
    assert_eq!(flag.status.code(), Some(64), "a key is never a flag");
    for command in ["load", "demo"] {
        let help = bookend(&[command, "--help"]);
        let help = String::from_utf8_lossy(&help.stdout);
        assert!(help.contains("BOOKEND_API_KEY, or a file: BOOKEND_API_KEY_FILE"), "{help}");
    }
}

#[test]
fn a_proxy_gets_no_request_for_this_machine_and_no_key_in_clear_text() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", "2019-05-13T12:00:00Z"]);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let load = |url: &str, key: Option<&str>| {
        let mut load = Command::new(BOOKEND);
        load.env_clear().arg("load").arg(project().join("data/seed-batch.json"));
        load.args(["--tries", "1", "--url", url]).envs(key.map(|key| ("BOOKEND_API_KEY", key)));
        let proxy = format!("http://{}", proxy.local_addr().unwrap());
        load.env("http_proxy", &proxy).env("https_proxy", proxy).stdin(Stdio::null());
        load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let address = service.client().0;
    for host in [address.to_string(), format!("localhost:{}", address.port())] {
        let done = load(&format!("http://{host}"), Some("a-key")).wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{host}: {}", said(&done));
    }
    let done = load("http://bookend.example", Some("a-key")).wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(64), "{}", said(&done));
    assert!(said(&done).contains("the proxy of http_proxy could read the API key"));
    assert!(proxy.accept().is_err(), "the proxy was not used until here");

    proxy.set_nonblocking(false).unwrap();
    for (url, key, line) in [
        ("http://bookend.example", None, "POST http://bookend.example/v1/events HTTP/1.1"),
        ("https://bookend.example", Some("a-key"), "CONNECT bookend.example:443 HTTP/1.1"),
    ] {
        let running = load(url, key);
        let (mut stream, _) = proxy.accept().unwrap();
        let mut received = vec![0; line.len()];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), line);
        drop(stream);
        assert_eq!(running.wait_with_output().unwrap().status.code(), Some(1));
    }
    service.stop();
}
