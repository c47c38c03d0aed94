//! A redrive that is killed, and two at once, put each letter back once.

use std::collections::BTreeMap;

use rdkafka::admin::{NewTopic, TopicReplication};
use shared::timestamp::Timestamp;

use super::{
    admin::transaction::{Step, Transactions},
    append::letters,
    findings::alter,
    refusals::{incompressible, limited},
    *,
};
use crate::log::{DeadLetter, DeadLetterCode, Redriven, murmur2};

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

/// A killed redrive leaves a transaction in which all but the commit is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_open_transaction_of_a_killed_redrive_puts_nothing_back() {
    let options = fresh(2).await;
    let log = open(&options).await;
    write_letters(&log).await;
    let (topic, group) = (options.letters_topic(), options.redrive_group());
    let killed = tokio::task::spawn_blocking(move || {
        let transactions = Transactions::open(&options).unwrap();
        let source = TopicSource::new(&options, &topic, &group, Clock::machine());
        let (mut reader, handled) = source.read_from_handled().unwrap();
        let read = reader.read(1 << 20).unwrap();
        let back = read.iter().map(|letter| letters::original(letter).unwrap().into()).collect();
        let (offsets, metadata) = (reader.position(), handled.metadata());
        let step = Step { back, offsets, metadata, ..Step::default() };
        transactions.begin(&step, &reader.group_metadata().unwrap()).unwrap();
        transactions.producer.flush(LIMIT).unwrap();
    });
    killed.await.unwrap();
    assert_eq!(counts(&log).await, BTreeMap::new());
    log.redrive(|_| true, |_| {}).await.unwrap();
    assert_each_once(&log).await;
}

/// The transaction is aborted: no reader sees the records that the brokers took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_in_the_middle_puts_nothing_back() {
    let options = limited("2000", 2).await;
    let log = open(&options).await;
    let letter = |(offset, record): (i64, NewRecord)| {
        let (key, value) = (record.key, Some(record.value));
        DeadLetter {
            code: DeadLetterCode::Panicked,
            record: Record { offset, key, value, ..Record::default() },
        }
    };
    let [small, large] = [0, 1].map(key_of);
    let records = [incompressible(&small, 1_000), incompressible(&large, 3_000)];
    let expected: BTreeMap<_, _> = records.iter().map(|record| (record.value.clone(), 1)).collect();
    log.dead_letter((0..).zip(records).map(letter).collect()).await.unwrap();
    let failed = log.redrive(|_| true, |_| {}).await.unwrap_err().to_string();
    assert!(failed.contains("a record is larger than its topic allows"), "{failed}");
    assert_eq!(counts(&log).await, BTreeMap::new());

    alter(&options, &options.topic, &[("max.message.bytes", "20000")]).await;
    // The brokers take a moment to apply the setting.
    let done = tokio::time::timeout(LIMIT, async {
        loop {
            if let Ok(done) = log.redrive(|_| true, |_| {}).await {
                return done;
            }
        }
    });
    assert_eq!(done.await.unwrap(), redriven(2, 2, 0));
    assert_eq!(counts(&log).await, expected);
}

/// A key of records in a partition of two.
fn key_of(partition: u32) -> String {
    let mut keys = (0..).map(|number: u32| number.to_string());
    keys.find(|key| murmur2::partition(key.as_bytes(), 2) == partition).unwrap()
}

fn letter_at(append_time: i64, value: &'static str) -> DeadLetter {
    let append_time = Timestamp::from_millis(append_time).unwrap();
    let record = Record { append_time, value: Some(value.into()), ..Record::default() };
    DeadLetter { code: DeadLetterCode::Panicked, record }
}

fn redriven(looked_at: u64, appended: u64, repeated: u64) -> Redriven {
    Redriven { looked_at, appended, repeated }
}

/// A letter was cut, the operator raised the limit, and a replay writes the whole letter.
#[tokio::test]
async fn a_whole_letter_is_redriven_although_an_earlier_one_of_its_record_was_cut() {
    let options = fresh(1).await;
    let log = open(&options).await;
    let letter = letter_at(10, "whole");
    let write_cut = async || {
        let cut = letters::outgoing(&letter, &options.topic, 3);
        let letters = KafkaLogOptions { topic: options.letters_topic(), ..options.clone() };
        append_as_other(&letters, cut, None).await;
    };
    write_cut().await;
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), redriven(1, 0, 0));
    write_cut().await;
    log.dead_letter(vec![letter.clone()]).await.unwrap();
    // The cut ones are kept: one of them was handled before, one is handled now.
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), redriven(3, 1, 0));
    log.dead_letter(vec![letter.clone()]).await.unwrap();
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), redriven(3, 0, 1));
    assert_eq!(counts(&log).await, [("whole".into(), 1)].into());
}

/// Programs of commit 0471d48 wrote no topic id. The topic was created again between the letters.
#[tokio::test]
async fn letters_without_a_topic_id_are_told_apart_by_their_append_times() {
    let log = open(&fresh(1).await).await;
    let letters = [letter_at(10, "one"), letter_at(20, "two"), letter_at(10, "one")];
    log.dead_letter(letters.to_vec()).await.unwrap();
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), redriven(3, 2, 1));
    log.dead_letter(letters.to_vec()).await.unwrap();
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), redriven(3, 0, 3));
    assert_eq!(counts(&log).await, [("one".into(), 1), ("two".into(), 1)].into());
}

/// The offsets that redrives committed.
async fn committed(options: &KafkaLogOptions) -> Offsets {
    let (topic, group) = (options.letters_topic(), options.redrive_group());
    let source = TopicSource::new(options, &topic, &group, Clock::machine());
    let fetching = tokio::task::spawn_blocking(move || source.offsets(Leaderless::Fail).unwrap());
    let positions = fetching.await.unwrap().positions();
    positions.into_iter().map(|(partition, at)| (partition, at.committed)).collect()
}

/// A redrive reads the handled letters of one partition while those of the other are due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committed_offset_of_no_partition_goes_back() {
    let options = absent().await;
    let topic = options.letters_topic();
    let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
    admin(&options).create_topics([&new], &AdminOptions::new()).await.unwrap()[0].clone().unwrap();
    setup(&options, 2, 1).await.unwrap();
    let log = open(&options).await;
    let letter = |key: &str, offset| {
        let NewRecord { key, value, .. } = incompressible(key, BYTES);
        let record = Record { offset, key, value: Some(value), ..Record::default() };
        DeadLetter { code: DeadLetterCode::Panicked, record }
    };
    let (few, many) = (key_of(0), key_of(1));
    log.dead_letter((0..LETTERS).map(|offset| letter(&many, offset)).collect()).await.unwrap();
    log.redrive(|_| true, |_| {}).await.unwrap();
    let before = committed(&options).await;

    log.dead_letter(vec![letter(&few, LETTERS)]).await.unwrap();
    let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    tokio::select! {
        done = log.redrive(|_| true, move |_| stop.send(()).unwrap()) => panic!("{done:?}"),
        _ = stopped.recv() => {}
    }
    let after = committed(&options).await;
    assert!(after[&0] > before[&0] && after[&1] == before[&1], "{before:?} {after:?}");
}

/// The brokers forget the offset of a group without members some days after its last commit.
#[tokio::test]
async fn a_redrive_without_letters_commits_too() {
    let options = fresh(1).await;
    let log = open(&options).await;
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap(), Redriven::default());
    assert_eq!(log.dead_letters(), 0);
    let (topic, group) = (options.letters_topic(), options.redrive_group());
    let source = TopicSource::new(&options, &topic, &group, Clock::machine());
    let fetching =
        tokio::task::spawn_blocking(move || source.offsets(Leaderless::Fail).unwrap().committed);
    assert!(fetching.await.unwrap().contains_key(&0));
}
