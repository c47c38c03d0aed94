//! A redrive that is killed, and two at once, put each letter back once.

use std::collections::BTreeMap;

use super::*;
use crate::log::{DeadLetter, DeadLetterCode, Redriven};

/// Several steps of letters, each of a record of its own.
const LETTERS: i64 = 200;
const BYTES: usize = 30_000;

async fn write_letters(log: &Log) {
    let letter = |offset: i64| {
        let value = format!("{offset:0>width$}", width = BYTES);
        let (key, value) = (Some(Bytes::from_static(b"u")), Some(value.into()));
        let record = Record { offset, key, value, ..Record::default() };
        DeadLetter { code: DeadLetterCode::Panicked, record }
    };
    log.dead_letter((0..LETTERS).map(letter).collect()).await.unwrap();
}

/// How often each value is in the log.
async fn counts(log: &Log) -> BTreeMap<Bytes, usize> {
    let (mut cursor, mut counts) = (log.cursor(), BTreeMap::new());
    loop {
        let records = log.read(&mut cursor, 1 << 20).await.unwrap();
        if records.is_empty() {
            return counts;
        }
        for record in records {
            *counts.entry(record.value.unwrap()).or_default() += 1;
        }
    }
}

async fn assert_each_once(log: &Log) {
    let counts = counts(log).await;
    assert_eq!(counts.len() as i64, LETTERS);
    assert_eq!(counts.values().max(), Some(&1));
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), Redriven::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_redrives_of_two_processes_put_each_letter_back_once() {
    let options = fresh(2).await;
    let (one, two) = (open(&options).await, open(&options).await);
    write_letters(&one).await;
    let (first, second) =
        tokio::join!(one.redrive(|_| true, |_| {}), two.redrive(|_| true, |_| {}));
    // The one that is opened last takes over from the other.
    assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
    for refused in [first, second].into_iter().filter_map(Result::err) {
        assert!(refused.to_string().contains("another redrive"), "{refused}");
    }
    one.redrive(|_| true, |_| {}).await.unwrap();
    assert_each_once(&two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_that_was_killed_at_any_step_puts_each_letter_back_once() {
    let options = fresh(2).await;
    let log = open(&options).await;
    write_letters(&log).await;
    for steps in [1, 2, 1] {
        // The first codes of a step are asked for in between two transactions: the process is
        // killed there, or while the thread of the transaction before runs on.
        let killed = open(&options).await;
        let task = tokio::spawn(async move {
            let mut left = steps;
            let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
            let redriving = killed.redrive(
                |_| true,
                move |_| {
                    left -= 1;
                    if left == 0 {
                        stop.send(()).unwrap();
                    }
                },
            );
            tokio::select! {
                done = redriving => drop(done),
                _ = stopped.recv() => {}
            }
        });
        task.await.unwrap();
    }
    log.redrive(|_| true, |_| {}).await.unwrap();
    assert_each_once(&log).await;
}

#[tokio::test]
async fn letters_that_another_process_wrote_before_are_known() {
    let options = fresh(2).await;
    let letter = |partition, offset| {
        let record = Record { partition, offset, value: Some("x".into()), ..Record::default() };
        DeadLetter { code: DeadLetterCode::Panicked, record }
    };
    let log = open(&options).await;
    log.dead_letter(vec![letter(0, 4), letter(1, 2)]).await.unwrap();
    let log = open(&options).await;
    let newest = log.newest_letters().await.unwrap();
    let known = |partition, offset| newest.has(log.origin(&letter(partition, offset)).unwrap());
    assert_eq!([known(0, 4), known(0, 5), known(1, 2), known(1, 3)], [true, false, true, false]);
}
