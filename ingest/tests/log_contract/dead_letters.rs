//! Dead letters and their redrive.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use ingest::log::{DeadLetter, DeadLetterCode, Log, Record, Redriven};
use shared::{event::RejectionCode, timestamp::Timestamp};

use crate::{Backend, contract, poll, poll_exactly, read_all, record};

contract!(
    a_redriven_letter_comes_back_as_it_was,
    only_wanted_letters_are_redriven_and_the_others_stay,
    a_second_redrive_appends_nothing,
    letters_survive_a_restart,
    a_redrive_that_was_given_up_can_be_repeated,
    two_redrives_at_once_append_each_letter_once,
    progress_is_told_after_every_step,
    a_redrive_of_many_letters_looks_at_each_once,
    letters_are_not_in_the_log,
    further_letters_of_a_record_are_not_redriven_again,
    a_letter_that_was_kept_is_redriven_later_although_a_replay_repeats_it,
);

const FUTURE: DeadLetterCode = DeadLetterCode::Rejected(RejectionCode::Future);

/// A letter of a record of its own.
fn letter(code: DeadLetterCode, key: &str, value: &'static [u8]) -> DeadLetter {
    static OFFSET: AtomicI64 = AtomicI64::new(77);
    letter_of(OFFSET.fetch_add(1, Ordering::Relaxed), code, key, value)
}

/// A letter of the record at `offset`.
fn letter_of(offset: i64, code: DeadLetterCode, key: &str, value: &'static [u8]) -> DeadLetter {
    let append_time = Timestamp::from_millis(1_600_000_000_001).unwrap();
    let (key, value) =
        (Some(Bytes::copy_from_slice(key.as_bytes())), Some(Bytes::from_static(value)));
    DeadLetter {
        code,
        record: Record { partition: 3, offset, key, value, append_time, ..Record::default() },
    }
}

fn redriven(looked_at: u64, appended: u64, repeated: u64) -> Redriven {
    Redriven { looked_at, appended, repeated }
}

async fn redrive(log: &Log, wanted: impl Fn(DeadLetterCode) -> bool) -> Redriven {
    log.redrive(wanted, |_| {}).await.unwrap()
}

async fn a_redriven_letter_comes_back_as_it_was(backend: &impl Backend) {
    let log = backend.open().await;
    let letter = letter(DeadLetterCode::Panicked, "u\n", b"\xff\n{\"not\": utf8\n\x00");
    log.dead_letter(vec![letter.clone()]).await.unwrap();
    assert_eq!(log.dead_letters(), 1);
    assert_eq!(redrive(&log, |_| true).await, redriven(1, 1, 0));
    let again = poll(&log, 1).await.remove(0);
    assert_eq!((again.key, again.value), (letter.record.key, letter.record.value));
    assert_eq!(again.append_time, letter.record.append_time);
    assert_eq!(log.dead_letters(), 0);
}

async fn only_wanted_letters_are_redriven_and_the_others_stay(backend: &impl Backend) {
    let log = backend.open().await;
    let codes: Vec<_> = DeadLetterCode::all().collect();
    for code in &codes {
        log.dead_letter(vec![letter(*code, code.as_str(), b"{}")]).await.unwrap();
    }
    let count = u64::try_from(codes.len()).unwrap();
    let done = redrive(&log, |code| code == DeadLetterCode::Contested).await;
    assert_eq!(done, redriven(count, 1, 0));
    assert_eq!(log.dead_letters(), count - 1);
    poll_exactly(&log, &[record("contested", "{}")]).await;
    assert_eq!(redrive(&log, |code| code == FUTURE).await, redriven(count - 1, 1, 0));
    poll_exactly(&log, &[record("future", "{}")]).await;
}

async fn a_second_redrive_appends_nothing(backend: &impl Backend) {
    let log = backend.open().await;
    log.dead_letter(vec![letter(FUTURE, "u", b"1"), letter(DeadLetterCode::Contested, "u", b"2")])
        .await
        .unwrap();
    redrive(&log, |code| code == FUTURE).await;
    assert_eq!(redrive(&log, |code| code == FUTURE).await, redriven(1, 0, 0));
    drop(log);
    let log = backend.open().await;
    assert_eq!(redrive(&log, |code| code == FUTURE).await, redriven(1, 0, 0));
    poll_exactly(&log, &[record("u", "1")]).await;
}

async fn letters_survive_a_restart(backend: &impl Backend) {
    let log = backend.open().await;
    log.dead_letter(vec![letter(FUTURE, "u", b"1")]).await.unwrap();
    drop(log);
    let log = backend.open().await;
    assert_eq!(log.dead_letters(), 1);
    assert_eq!(redrive(&log, |_| true).await.appended, 1);
    poll_exactly(&log, &[record("u", "1")]).await;
}

async fn a_redrive_that_was_given_up_can_be_repeated(backend: &impl Backend) {
    let log = backend.open().await;
    log.dead_letter(vec![letter(FUTURE, "u", b"1")]).await.unwrap();
    let interrupted = tokio::spawn({
        let log = log.clone();
        async move { log.redrive(|_| panic!("planted panic"), |_| {}).await }
    });
    assert!(interrupted.await.is_err());
    assert_eq!(log.dead_letters(), 1);
    assert_eq!(redrive(&log, |_| true).await, redriven(1, 1, 0));
}

async fn two_redrives_at_once_append_each_letter_once(backend: &impl Backend) {
    let log = backend.open().await;
    for _ in 0..20 {
        log.dead_letter(vec![letter(FUTURE, "u", b"1")]).await.unwrap();
    }
    let (one, other) = tokio::join!(redrive(&log, |_| true), redrive(&log, |_| true));
    assert_eq!(one.appended + other.appended, 20);
    assert_eq!(read_all(&log).await.len(), 20);
}

async fn progress_is_told_after_every_step(backend: &impl Backend) {
    let log = backend.open().await;
    log.dead_letter(vec![letter(FUTURE, "u", b"1"), letter(FUTURE, "u", b"2")]).await.unwrap();
    let mut steps = Vec::new();
    let done = log.redrive(|_| true, |done| steps.push(done)).await.unwrap();
    assert_eq!(steps.last(), Some(&done));
}

async fn a_redrive_of_many_letters_looks_at_each_once(backend: &impl Backend) {
    let log = backend.open().await;
    static LONG: [u8; 100_000] = [b'x'; 100_000];
    for n in 0..40 {
        let code = if n % 2 == 0 { FUTURE } else { DeadLetterCode::Contested };
        log.dead_letter(vec![letter(code, "u", &LONG)]).await.unwrap();
    }
    assert_eq!(redrive(&log, |code| code == FUTURE).await, redriven(40, 20, 0));
    assert_eq!(log.dead_letters(), 20);
}

async fn letters_are_not_in_the_log(backend: &impl Backend) {
    let log = backend.open().await;
    log.dead_letter(vec![letter(FUTURE, "u", b"1")]).await.unwrap();
    assert_eq!(read_all(&log).await, []);
    poll_exactly(&log, &[]).await;
}

async fn further_letters_of_a_record_are_not_redriven_again(backend: &impl Backend) {
    let log = backend.open().await;
    let [one, other] = [1, 2].map(|offset| letter_of(offset, FUTURE, "u", b"same"));
    log.dead_letter(vec![one.clone(), other.clone(), one.clone()]).await.unwrap();
    assert_eq!(redrive(&log, |_| true).await, redriven(3, 2, 1));
    // A replay writes the letters of all records again, and one of a new record.
    let new = letter_of(3, FUTURE, "u", b"same");
    log.dead_letter(vec![one.clone(), other, new]).await.unwrap();
    drop(log);
    let log = backend.open().await;
    assert_eq!(redrive(&log, |_| true).await, redriven(3, 1, 2));
    log.dead_letter(vec![one]).await.unwrap();
    assert_eq!(redrive(&log, |_| true).await, redriven(1, 0, 1));
    assert_eq!(read_all(&log).await.len(), 3);
}

async fn a_letter_that_was_kept_is_redriven_later_although_a_replay_repeats_it(
    backend: &impl Backend,
) {
    let log = backend.open().await;
    let one = letter_of(1, FUTURE, "u", b"1");
    log.dead_letter(vec![one.clone()]).await.unwrap();
    for repeated in [0, 1] {
        let done = redrive(&log, |code| code == DeadLetterCode::Contested).await;
        assert_eq!(done, redriven(1 + repeated, 0, repeated));
        log.dead_letter(vec![one.clone()]).await.unwrap();
    }
    assert_eq!(redrive(&log, |code| code == FUTURE).await, redriven(2, 1, 1));
    assert_eq!(redrive(&log, |_| true).await, redriven(0, 0, 0));
    poll_exactly(&log, &[record("u", "1")]).await;
}
