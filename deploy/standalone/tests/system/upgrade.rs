//! Data that an older version wrote is served by this one.
//!
//! The fixtures were written by the programs of commit 0471d48 and are named after it. The data
//! directory has sessions of every status, dead letters (`contested`, `future`), several segments,
//! and 20 records that were not consumed when the process was killed. The replies, with pages
//! after cursors, are those of the older program once it had consumed them.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    command_line::{bookend, said},
    data::ENDING_AT,
    service::Service,
};

mod cluster;

const AS_OF: [&str; 2] = ["--as-of", ENDING_AT];

fn fixture(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0471d48");
    zstd::decode_all(&*std::fs::read(dir.join(name)).unwrap()).unwrap()
}

/// Unpacks a data directory.
pub(crate) fn unpack(name: &str, data: &Path) {
    let mut tar = Command::new("tar").arg("-xC").arg(data).stdin(Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(&fixture(name)).unwrap();
    assert!(tar.wait().unwrap().success());
}

/// Runs a command of the program over `data`, and returns its report.
pub(crate) fn report(command: &str, data: &Path, more: &[&str]) -> Value {
    let dir = data.to_str().unwrap();
    let args = [&[command, "--json", AS_OF[0], AS_OF[1], "--data-dir", dir], more].concat();
    let output = bookend(&args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output));
    serde_json::from_str(&text).unwrap()
}

/// What both versions reply. A page of starts names no country after its end any more, so its end
/// may be another position of the same meaning, and counts have a `next`.
fn comparable(path: &str, mut reply: Value) -> Value {
    if path.starts_with("/v1/session-starts/counts") {
        let next = reply.as_object_mut().unwrap().remove("next");
        assert!(next.is_none_or(|next| next.is_null()), "{path}");
    } else if path.starts_with("/v1/session-starts") {
        reply["next"] = reply["next"].is_null().into();
        let countries = reply["countries"].as_object_mut().unwrap();
        countries.retain(|_, starts| starts != &Value::Array(Vec::new()));
    }
    reply
}

/// Asserts that every question of the fixture is answered as the older program answered it.
pub(crate) fn answers_as_before(service: &Service, expected: &Value) {
    let answers = expected["answers"].as_object().unwrap();
    assert!(answers.len() >= 20);
    for (path, before) in answers {
        let reply = service.client().get(path).unwrap();
        assert_eq!(reply.status, 200, "{path}");
        let now = comparable(path, reply.json());
        assert_eq!(now, comparable(path, before.clone()), "{path}");
    }
}

#[test]
fn a_data_directory_of_an_older_version_is_served_with_its_letters_and_cursors() {
    let data = tempfile::tempdir().unwrap();
    unpack("embedded.tar.zst", data.path());
    let expected: Value = serde_json::from_slice(&fixture("embedded.json.zst")).unwrap();

    let service = Service::start(data.path(), &AS_OF);
    service.wait_until_answered(20);
    answers_as_before(&service, &expected);
    service.stop();

    let redriven = report("redrive", data.path(), &["--code", "future"]);
    for count in ["looked_at", "appended", "kept"] {
        assert_eq!(redriven[count], expected["redrive"][count], "{count}");
    }
    let service = Service::start(data.path(), &AS_OF);
    service.wait_until_answered(3);
    answers_as_before(&service, &expected);
    service.stop();

    let verdict = report("verify", data.path(), &[]);
    assert_eq!(verdict["differences"]["count"], 0, "{verdict}");
    let ledger = &verdict["ledger"];
    let before = &expected["verify"]["ledger"];
    // The redriven events are in the log twice. This version no longer refuses them.
    for class in ["records", "duplicate", "open"] {
        assert_eq!(ledger[class], 3 + before[class].as_u64().unwrap(), "{class}");
    }
    for class in ["paired", "orphan", "superseded"] {
        assert_eq!(ledger[class], before[class], "{class}");
    }

    // The letters that were kept are not taken for repetitions, and are put back once.
    let codes: [(&[&str], _); 3] = [(&["--code", "future"], [0, 6]), (&[], [6, 0]), (&[], [0, 0])];
    for (code, counts) in codes {
        let again = report("redrive", data.path(), code);
        let found = ["appended", "kept", "repeated"].map(|count| again[count].as_u64().unwrap());
        assert_eq!((&found[..2], found[2]), (&counts[..], 0), "{again}");
    }
}

/// The files and directories below `dir`, without those of the engine's tables and journals.
fn entries(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.parent().unwrap().ends_with("store/keyspaces") {
            found.extend(entries(&path));
        }
        if path.extension().is_none_or(|extension| extension != "jnl") {
            found.insert(path);
        }
    }
    found
}

#[test]
fn verify_creates_nothing_in_a_data_directory_of_an_older_version_or_where_there_is_none() {
    let data = tempfile::tempdir().unwrap();
    unpack("embedded.tar.zst", data.path());
    let before = entries(data.path());
    assert!(before.len() > 10, "{before:?}");
    let verify = |data: &Path| {
        let dir = data.to_str().unwrap();
        bookend(&["verify", AS_OF[0], AS_OF[1], "--data-dir", dir])
    };
    let output = verify(data.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("20 events not answered yet"), "{text}");
    // The backlog is not a difference. The older program refused these events as `future`.
    let differences: Vec<_> =
        text.lines().filter(|line| line.starts_with("difference: ")).collect();
    assert!(differences.iter().all(|line| line.contains("of user \"late\"")), "{text}");
    assert_eq!(differences.len(), 6, "{text}");
    assert_eq!(entries(data.path()), before);

    for (missing, what) in [("store", "the store in"), ("log", "the log in"), ("", "the log in")] {
        let gone = data.path().join(missing);
        std::fs::remove_dir_all(&gone).unwrap();
        let output = verify(data.path());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(what) && text.contains("it does not exist"), "{text}");
        assert!(!gone.exists(), "{missing}");
    }
    std::fs::create_dir(data.path()).unwrap();
}
