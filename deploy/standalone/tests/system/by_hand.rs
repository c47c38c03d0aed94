//! Commands that are run by hand: the demo and the redrive of dead letters.

use std::{
    ops::Range,
    process::{Command, Output, Stdio},
};

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

/// Posts ends of one session, one for each of `seconds`, and waits until they are processed.
fn post_ends(service: &Service, seconds: Range<usize>) {
    let end = |second: usize| {
        format!(
            r#"{{"user_id":"u","session_id":"s","event":"end","ts":"2016-12-01T00:{:02}:{:02}Z"}}"#,
            second / 60,
            second % 60
        )
    };
    let batch: Vec<_> = seconds.map(end).collect();
    let body = format!("[{}]", batch.join(","));
    let reply = service.client().post("/v1/events", &[], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    service.wait_until_answered(batch.len());
}

fn contested(service: &Service) -> usize {
    service.metrics().sum("bookend_dead_letters_total") as usize
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

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    post_ends(&service, 0..ENDS);
    assert_eq!(contested(&service), ENDS - KEPT);
    service.stop();

    assert_eq!(
        redrive(&["--code", "panicked"]),
        "nothing was redriven: 0 dead letters appended to the log, 6 kept, 0 repeated ones removed\n"
    );
    assert_eq!(
        redrive(&["--code", "contested"]),
        "6 dead letters appended to the log, 0 kept, 0 repeated ones removed\n"
    );
    assert_eq!(redrive(&[]), "nothing to redrive: there are no dead letters\n");

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    service.wait_until_answered(ENDS - KEPT);
    assert_eq!(contested(&service), ENDS - KEPT);
    service.stop();
}

/// The redriven records would get offsets that the store holds already, and never be consumed.
#[test]
fn a_log_that_is_an_older_copy_is_not_redriven_before_the_service_has_run() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().to_str().unwrap();
    let redrive = || bookend(&["redrive", "--as-of", ENDING_AT, "--data-dir", dir]);
    let (log, copy) = (data.path().join("log"), data.path().join("copy"));
    let copy_log = |from, to| {
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    post_ends(&service, 0..ENDS);
    service.stop();
    copy_log(&log, &copy);
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    post_ends(&service, ENDS..2 * ENDS);
    service.stop();
    std::fs::remove_dir_all(&log).unwrap();
    copy_log(&copy, &log);

    let refused = redrive();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{refused:?}");
    let cause = String::from_utf8(refused.stderr).unwrap();
    assert!(cause.contains("the log is an older copy") && cause.contains("serve"), "{cause}");
    Service::start(data.path(), &["--as-of", ENDING_AT]).stop();

    let redriven = redrive();
    assert_eq!(
        String::from_utf8(redriven.stdout).unwrap(),
        "6 dead letters appended to the log, 0 kept, 0 repeated ones removed\n"
    );
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    service.wait_until_answered(ENDS - KEPT);
    assert_eq!(contested(&service), ENDS - KEPT);
    service.stop();
}

/// A mistyped directory or topic is not an empty one.
#[test]
fn verify_and_redrive_create_nothing_and_fail_where_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no-such-directory");
    let path = missing.to_str().unwrap();
    for command in ["verify", "redrive"] {
        for json in [&[][..], &["--json"]] {
            let output = bookend(&[&[command, "--data-dir", path], json].concat());
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{text}");
            assert!(text.contains(path) && text.contains("does not exist"), "{command}: {text}");
            assert!(!missing.exists(), "{command} created the directory");
        }
    }
    // A directory of something else.
    for command in ["verify", "redrive"] {
        let output = bookend(&[command, "--data-dir", dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{command}");
    }
}

#[test]
fn a_new_service_has_nothing_to_verify_or_redrive_and_both_say_so() {
    let data = tempfile::tempdir().unwrap();
    Service::start(data.path(), &[]).stop();
    let dir = data.path().to_str().unwrap();
    let verified = bookend(&["verify", "--data-dir", dir]);
    let text = String::from_utf8(verified.stderr).unwrap();
    assert_eq!(verified.status.code(), Some(1), "{text}");
    assert!(text.contains("nothing was compared: the log and the store have no events"), "{text}");
    assert!(!String::from_utf8(verified.stdout).unwrap().contains("no difference"));
    let redriven = bookend(&["redrive", "--data-dir", dir]);
    let text = String::from_utf8(redriven.stdout).unwrap();
    assert_eq!(redriven.status.code(), Some(0), "{text}");
    assert_eq!(text, "nothing to redrive: there are no dead letters\n");
}

/// The store is rebuilt by the next start; until then nothing of the log is answered.
#[test]
fn a_redrive_does_not_create_a_store_that_was_deleted() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().to_str().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    post_ends(&service, 0..ENDS);
    service.stop();
    let store = data.path().join("store");
    std::fs::remove_dir_all(&store).unwrap();
    let output = bookend(&["redrive", "--as-of", ENDING_AT, "--data-dir", dir]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("6 dead letters appended"), "{text}");
    assert!(!store.exists());
}

#[test]
fn a_code_that_no_dead_letter_has_is_a_mistake_that_names_those_there_are() {
    let output = bookend(&["redrive", "--code", "nonsense"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("contested"));
}
