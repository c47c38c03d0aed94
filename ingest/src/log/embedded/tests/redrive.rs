//! A redrive that is killed between any two of its writes puts each letter back once.

use super::*;
use crate::log::DeadLetterCode::{Contested, Panicked};

/// Whether the kill came after the step had written to each journal.
#[derive(Clone, Copy, Debug)]
struct Killed {
    records: bool,
    letters: bool,
}

fn letter(offset: i64, code: crate::log::DeadLetterCode, value: &str) -> DeadLetter {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    let key = Some(Bytes::from_static(b"u"));
    DeadLetter { code, record: Record { offset, key, value, ..Record::default() } }
}

fn restore(from: &LogDir, to: &LogDir, name: &str) {
    let (from, to) = (from.dir.path().join(name), to.dir.path().join(name));
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn is_panicked(code: crate::log::DeadLetterCode) -> bool {
    code == Panicked
}

/// Undoes the commit of the letters, which is the last write of a step.
fn undo_commit(dir: &LogDir) {
    fs::remove_file(dir.dir.path().join("dead-letters/committed.json")).unwrap();
}

/// The last step of a redrive is killed, and so is each of the next `more` ones that repeat it.
async fn each_letter_is_put_back_once(killed: Killed, more: usize) {
    let dir = LogDir::new();
    let log = dir.open();
    // Two letters with equal records, and one whose record a replay repeats.
    let letters = [
        letter(1, Panicked, "same"),
        letter(2, Panicked, "same"),
        letter(3, Contested, "kept"),
        letter(4, Panicked, "other"),
        letter(4, Panicked, "other"),
    ];
    log.dead_letter(letters.to_vec()).await.unwrap();
    let before = dir.copy();
    let done = log.redrive(is_panicked, |_| {}).await.unwrap();
    assert_eq!((done.appended, done.repeated), (3, 1));
    drop(log);
    undo_commit(&dir);
    for (name, is_after) in [("records", killed.records), ("dead-letters", killed.letters)] {
        if !is_after {
            restore(&before, &dir, name);
        }
    }
    for _ in 0..more {
        dir.open().redrive(is_panicked, |_| {}).await.unwrap();
        undo_commit(&dir);
    }

    let log = dir.open();
    // The endpoint appends in between.
    append(&log, &["new"]).await.unwrap();
    log.redrive(|_| true, |_| {}).await.unwrap();
    let mut found = values(&log).await;
    found.sort();
    assert_eq!(found, ["kept", "new", "other", "same", "same"], "{killed:?}");
    assert_eq!(log.dead_letters(), 0);
    let again = log.redrive(|_| true, |_| {}).await.unwrap();
    assert_eq!(again.looked_at, 0);
}

#[tokio::test]
async fn a_redrive_that_was_killed_puts_each_letter_back_once() {
    for more in [0, 1, 2] {
        each_letter_is_put_back_once(Killed { records: false, letters: false }, more).await;
        each_letter_is_put_back_once(Killed { records: true, letters: false }, more).await;
        each_letter_is_put_back_once(Killed { records: true, letters: true }, more).await;
    }
}

#[tokio::test]
async fn a_letter_that_a_killed_step_kept_is_put_back_once_although_a_replay_repeats_it() {
    let dir = LogDir::new();
    let long = "x".repeat(1 << 20);
    let log = dir.open();
    // A step each.
    for letter in [
        letter(1, Panicked, "kept"),
        letter(2, Panicked, &long),
        letter(1, Panicked, "kept"),
        letter(3, Panicked, &long),
        letter(4, Contested, "last"),
    ] {
        log.dead_letter(vec![letter]).await.unwrap();
    }
    let killed = tokio::spawn({
        let log = log.clone();
        async move { log.redrive(|_| false, |_| panic!("planted panic")).await }
    });
    assert!(killed.await.is_err());
    drop(log);
    undo_commit(&dir);

    let log = dir.open();
    let killed = tokio::spawn({
        let log = log.clone();
        async move {
            let wanted = |code| code == Panicked || panic!("planted panic");
            log.redrive(wanted, |_| {}).await
        }
    });
    assert!(killed.await.is_err());
    log.redrive(|_| true, |_| {}).await.unwrap();
    let mut found = values(&log).await;
    found.retain(|value| value.len() < long.len());
    found.sort();
    assert_eq!(found, ["kept", "last"]);
}

#[tokio::test]
async fn of_what_was_appended_after_a_killed_step_a_redrive_holds_nothing() {
    let dir = LogDir::new();
    let log = dir.open();
    let letters: Vec<_> =
        (0..20).map(|offset| letter(offset, Panicked, &offset.to_string())).collect();
    log.dead_letter(letters).await.unwrap();
    log.redrive(|_| true, |_| {}).await.unwrap();
    for number in 0..10 {
        let later: Vec<_> = (0..1_000).map(|more| format!("later {number}.{more}")).collect();
        append(&log, &later.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    }
    assert_eq!(log.interrupted(0).await.unwrap().records(), 20);
}

/// Writes letters as the programs of commit 0471d48 did.
async fn write_as_older(log: &EmbeddedLog, letters: &[(i64, i64, &'static str)]) {
    let entry = |(offset, time, value): &(i64, i64, &str)| {
        let head = format!(
            r#"{{"code":"panicked","partition":0,"offset":{offset},"append_time_ms":{time}}}"#
        );
        let value = Bytes::from(format!("{head}\n{value}"));
        Entry { partition: 0, append_time: Timestamp::default(), key: Bytes::new(), value }
    };
    log.0.letters.append(letters.iter().map(entry).collect()).await.unwrap();
}

#[tokio::test]
async fn letters_of_an_older_program_are_told_apart_by_their_append_times() {
    let dir = LogDir::new();
    let log = dir.open();
    write_as_older(&log, &[(1, 10, "one"), (1, 20, "two"), (1, 10, "one")]).await;
    let done = log.redrive(|_| true, |_| {}).await.unwrap();
    assert_eq!((done.appended, done.repeated), (2, 1));
    assert_eq!(values(&log).await, ["one", "two"]);
}

/// The older program drops the mark of a letter that was kept, and the one beside the offset.
#[tokio::test]
async fn a_letter_that_an_older_program_kept_after_a_downgrade_is_redriven() {
    let dir = LogDir::new();
    let log = dir.open();
    write_as_older(&log, &[(1, 10, "kept")]).await;
    log.redrive(|_| false, |_| {}).await.unwrap();
    let committed = dir.dir.path().join("dead-letters/committed.json");
    write_as_older(&log, &[(1, 10, "kept")]).await;
    log.0.letters.commit([(0, 2)].into()).await.unwrap();
    drop(log);
    let text = fs::read_to_string(&committed).unwrap();
    assert!(text.contains(r#","once_since":0"#), "{text}");
    fs::write(&committed, text.replace(r#","once_since":0"#, "")).unwrap();

    let log = dir.open();
    let done = log.redrive(|_| true, |_| {}).await.unwrap();
    assert_eq!((done.looked_at, done.appended), (1, 1));
    assert_eq!(values(&log).await, ["kept"]);
}
