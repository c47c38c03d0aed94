//! The commands as clients of a service with keys.

use std::process::{Command, Output, Stdio};

use crate::{
    command_line::said,
    service::{BOOKEND, Service, new_key},
};

/// Runs a command with an API key; "" is none.
fn run(key: &str, args: &[&str]) -> Output {
    let mut command = Command::new(BOOKEND);
    command.env_clear().env("BOOKEND_API_KEY", key).args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_load_into_a_service_with_keys_needs_one_with_the_right_to_send() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, events) = (dir.path().join("keys.toml"), dir.path().join("events.ndjson"));
    let sender = new_key(&keys, "sender", "ingest");
    let reader = new_key(&keys, "reader", "read");
    let event = r#"{"user_id":"u","session_id":"s","event":"start","ts":"2019-05-13T11:00:00Z"}"#;
    std::fs::write(&events, event).unwrap();
    let flags = ["--as-of", "2019-05-13T12:00:00Z", "--keys", keys.to_str().unwrap()];
    let service = Service::start(&dir.path().join("data"), &flags);
    let url = format!("http://{}", service.client().0);
    let load = |key: &str| run(key, &["load", "--url", &url, events.to_str().unwrap()]);
    for (key, reason) in [
        ("", "; set BOOKEND_API_KEY or BOOKEND_API_KEY_FILE"),
        (&sender[..sender.len() - 1], "mistyped"),
        (&reader, "the key does not have the right `ingest`"),
    ] {
        let done = load(key);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains(reason), "{}", said(&done));
        assert!(!said(&done).contains("bk_"), "{}", said(&done));
    }
    let done = load(&sender);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    service.stop();
}

#[test]
fn a_demo_with_keys_needs_one_for_its_own_requests_and_prints_it_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    let key = new_key(&file, "demo", "ingest,read,operate");
    let demo = ["demo", "--once", "--sessions", "50", "--listen", "127.0.0.1:0"];
    let demo = [&demo[..], &["--keys", file.to_str().unwrap()]].concat();
    let done = run("", &demo);
    assert_eq!(done.status.code(), Some(64), "{}", said(&done));
    assert!(said(&done).contains("set BOOKEND_API_KEY"), "{}", said(&done));
    let done = run(&key, &demo);
    let shown = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{shown}{}", said(&done));
    let curl = r#"curl -H "Authorization: Bearer $BOOKEND_API_KEY" 'http://127.0.0.1:"#;
    assert!(shown.contains(curl) && !shown.contains("bk_"), "{shown}");
}

#[test]
fn a_demo_with_tls_sends_its_own_requests_to_the_certificate_that_it_trusts() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let authorities = certificate.to_str().unwrap();
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["demo", "--once", "--sessions", "50", "--listen", "127.0.0.1:0"]);
    command.env("BOOKEND_TLS_CERT", &certificate).env("BOOKEND_TLS_KEY", &key);
    let done = command.args(["--tls-ca", authorities]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{shown}{}", said(&done));
    let curl = format!("curl --cacert '{authorities}' 'https://127.0.0.1:");
    assert!(shown.contains(&curl), "{shown}");
}
