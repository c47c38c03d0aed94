//! The output of commands for scripts: one line of JSON, and the exit status.

use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    command_line::{bookend, said},
    data::{ENDING_AT, lines},
    service::{BOOKEND, Service},
};

/// Returns the line of JSON of a command. Its `--help` must explain every key.
fn outcome(args: &[&str], status: i32) -> Value {
    let output = bookend(args);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    let help = String::from_utf8(bookend(&[args[0], "--help"]).stdout).unwrap();
    let explained = help.split("Output with --json:").nth(1).unwrap();
    for key in value.as_object().unwrap().keys() {
        assert!(
            explained.contains(key.as_str()),
            "{key} of {} is not explained: {explained}",
            args[0]
        );
    }
    value
}

/// Returns the report of a command over `data`.
fn over(data: &Path, command: &str, more: &[&str], status: i32) -> Value {
    let dir = data.to_str().unwrap();
    outcome(&[&[command, "--json", "--as-of", ENDING_AT, "--data-dir", dir], more].concat(), status)
}

#[test]
fn every_command_that_ends_says_in_json_what_it_did() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = dir.path().join("events.ndjson");
    let file = file.to_str().unwrap();
    let generate = ["generate", "--profile", "hostile", "--sessions", "300", "--seed", "5"];
    let made = outcome(
        &[&generate[..], &["--ending-at", ENDING_AT, "--json", "--output", file]].concat(),
        0,
    );
    let written = std::fs::read(file).unwrap();
    assert_eq!(made["lines"], lines(&written).len());
    let again =
        ["--ending-at", made["ending_at"].as_str().unwrap(), "--seed", &made["seed"].to_string()];
    assert_eq!(
        bookend(&[&generate[..5], &again].concat()).stdout,
        written,
        "it says what makes the same again"
    );

    let made = over(data.path(), "setup", &[], 0);
    assert!(made["log"][0].as_str().unwrap().contains("needs no setup"), "{made}");

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let url = format!("http://{}", service.client().0);
    let loaded = outcome(&["load", file, "--json", "--url", &url], 0);
    let rejected: u64 =
        loaded["rejected"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let number = |value: &Value| value.as_u64().unwrap();
    let parts = number(&loaded["accepted"]) + number(&loaded["discarded"]) + rejected;
    assert_eq!((number(&loaded["sent"]), number(&loaded["undelivered"])), (parts, 0), "{loaded}");
    service.wait_until_answered(usize::try_from(number(&loaded["accepted"])).unwrap());
    service.stop();

    let verified = over(data.path(), "verify", &[], 0);
    assert_eq!(verified["ledger"]["records"], loaded["accepted"]);
    assert_eq!(
        (&verified["differences"]["count"], &verified["unanswered"]),
        (&0.into(), &0.into())
    );

    let contested = number(&verified["ledger"]["dead_lettered"]);
    let kept = over(data.path(), "redrive", &["--code", "panicked"], 0);
    let all = over(data.path(), "redrive", &[], 0);
    assert_eq!((number(&kept["appended"]), number(&kept["kept"])), (0, contested), "{kept}");
    assert_eq!((number(&all["appended"]), number(&all["kept"])), (contested, 0), "{all}");

    // The redriven records are not processed yet, which is not a difference.
    let waiting = over(data.path(), "verify", &[], 0);
    assert_eq!(number(&waiting["unanswered"]), contested);
    assert_eq!(waiting["differences"]["count"], 0);
}

#[test]
fn what_fails_says_so_on_standard_error_with_json_too() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &[]);
    let dir = data.path().to_str().unwrap();
    for args in
        [&["verify", "--json", "--data-dir", dir][..], &["redrive", "--json", "--data-dir", dir]]
    {
        let output = bookend(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            output.stdout.is_empty() && said(&output).contains("in use by another process"),
            "{}",
            said(&output)
        );
    }
    service.stop();
    // Standard output has the events.
    let output = bookend(&["generate", "--sessions", "1", "--json"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("--output"), "{}", said(&output));
}

/// Runs `line` in bash with the program as `$0`.
fn bash(line: &str) -> Output {
    Command::new("bash")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["-c", line, BOOKEND])
        .output()
        .unwrap()
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let output = bash(r#""$0" generate --sessions 200000 | head -n 1; exit "${PIPESTATUS[0]}""#);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(lines(&output.stdout).len(), 1);
    assert!(output.stderr.is_empty(), "{}", said(&output));
    for args in ["--help", "help serve", "man serve", "completions zsh", "setup"] {
        let output = bash(&format!(r#""$0" {args} | true; exit "${{PIPESTATUS[0]}}""#));
        assert_eq!(output.status.code(), Some(0), "{args}: {}", said(&output));
        assert!(output.stderr.is_empty(), "{args}: {}", said(&output));
    }
    // A closed pipe does not change the status of a failure either.
    let output = bash(
        r#""$0" load no-such-file --url http://127.0.0.1:9 2>&1 | true; exit "${PIPESTATUS[0]}""#,
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let data = tempfile::tempdir().unwrap();
    let setup = format!("setup --data-dir {}", data.path().display());
    let commands = ["--help", "help serve", "man serve", "completions zsh", "--version"];
    for args in commands.into_iter().chain(["generate --sessions 1", &setup]) {
        let output = bash(&format!(r#""$0" {args} > /dev/full"#));
        assert_eq!(output.status.code(), Some(1), "{args}: {}", said(&output));
        assert!(said(&output).contains("No space left"), "{args}: {}", said(&output));
    }
}

#[test]
fn a_command_that_a_signal_stops_ends_by_it() {
    let mut load = Command::new(BOOKEND);
    load.env_clear().args(["load", "-", "--url", "http://127.0.0.1:9", "--tries", "1000"]);
    let mut load =
        load.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    load.stdin.as_mut().unwrap().write_all(b"{}\n").unwrap();
    let kill = format!("kill -TERM {}", load.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    // The pipe is open until here, so the command has not ended by itself.
    let stdin = load.stdin.take();
    assert_eq!(load.wait().unwrap().signal(), Some(15));
    drop(stdin);
}
