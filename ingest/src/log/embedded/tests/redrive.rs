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

async fn each_letter_is_put_back_once(killed: Killed) {
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
    let done = log.redrive(|code| code == Panicked, |_| {}).await.unwrap();
    assert_eq!((done.appended, done.repeated), (3, 1));
    drop(log);
    // The commit of the letters is the last write.
    let committed = "dead-letters/committed.json";
    fs::remove_file(dir.dir.path().join(committed)).unwrap();
    for (name, is_after) in [("records", killed.records), ("dead-letters", killed.letters)] {
        if !is_after {
            restore(&before, &dir, name);
        }
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
    each_letter_is_put_back_once(Killed { records: false, letters: false }).await;
    each_letter_is_put_back_once(Killed { records: true, letters: false }).await;
    each_letter_is_put_back_once(Killed { records: true, letters: true }).await;
}
