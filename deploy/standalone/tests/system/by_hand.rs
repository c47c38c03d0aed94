//! Commands that are run by hand: the demo and the redrive of dead letters.

use std::process::{Command, Output, Stdio};

use crate::{
    data::ENDING_AT,
    service::{BOOKEND, Service},
};

/// The facts of a contested session, over the limit.
const ENDS: usize = 70;
/// The limit of facts of a session.
const KEPT: usize = 64;

fn bookend(args: &[&str]) -> Output {
    Command::new(BOOKEND).env_clear().args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_demo_loads_a_month_and_shows_the_three_questions_with_their_answers() {
    let output = bookend(&["demo", "--once", "--sessions", "400", "--listen", "127.0.0.1:0"]);
    let (shown, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{shown}{said}");
    for part in [
        "798 events accepted",
        "1. How many",
        "2. Which sessions started",
        "3. What are the last 20",
    ] {
        assert!(shown.contains(part), "{part} is missing in: {shown}");
    }
    assert_eq!(shown.matches("  curl 'http://127.0.0.1:").count(), 3, "{shown}");
    assert!(
        !shown.contains(" 0 starts in") && !shown.contains("  0 sessions in the reply"),
        "{shown}"
    );
}

#[test]
fn dead_letters_are_put_back_by_code_and_become_dead_letters_again_while_their_cause_lasts() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().to_str().unwrap();
    let redrive = |more: &[&str]| {
        let output =
            bookend(&[&["redrive", "--as-of", ENDING_AT, "--data-dir", dir], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let contested =
        |service: &Service| service.metrics().sum("bookend_dead_letters_total") as usize;

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let end = |second: usize| {
        format!(
            r#"{{"user_id":"u","session_id":"s","event":"end","ts":"2016-12-01T00:{:02}:{:02}Z"}}"#,
            second / 60,
            second % 60
        )
    };
    let batch: Vec<_> = (0..ENDS).map(end).collect();
    let reply = service
        .client()
        .post("/v1/events", &[], format!("[{}]", batch.join(",")).as_bytes())
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    service.wait_until_answered(ENDS);
    assert_eq!(contested(&service), ENDS - KEPT);
    service.stop();

    assert_eq!(
        redrive(&["--code", "panicked"]),
        "0 dead letters appended to the log, 6 kept, 0 repeated ones removed\n"
    );
    assert_eq!(
        redrive(&["--code", "contested"]),
        "6 dead letters appended to the log, 0 kept, 0 repeated ones removed\n"
    );
    assert_eq!(
        redrive(&[]),
        "0 dead letters appended to the log, 0 kept, 0 repeated ones removed\n"
    );

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    service.wait_until_answered(ENDS - KEPT);
    assert_eq!(contested(&service), ENDS - KEPT);
    service.stop();
}

#[test]
fn a_code_that_no_dead_letter_has_is_a_mistake_that_names_those_there_are() {
    let output = bookend(&["redrive", "--code", "nonsense"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("contested"));
}
