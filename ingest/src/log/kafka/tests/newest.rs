//! The latest dead letters, which a consumer reads within limits before it writes its first one.

use std::time::Instant;

use rdkafka::admin::{NewTopic, TopicReplication};

use super::{
    stack::{Node, Service, Stack},
    *,
};
use crate::log::{DeadLetter, DeadLetterCode, NewestLetters, Partition};

fn letter_of(partition: Partition, offset: i64, key: &str, value: Vec<u8>) -> DeadLetter {
    let (key, value) = (Some(key.to_owned().into()), Some(value.into()));
    let record = Record { partition, offset, key, value, ..Record::default() };
    DeadLetter { code: DeadLetterCode::Panicked, record }
}

/// Whether the letter of this record, or of a later one of its partition, was read.
fn is_known(log: &Log, newest: &NewestLetters, partition: Partition, offset: i64) -> bool {
    newest.has(log.origin(&letter_of(partition, offset, "", Vec::new())).unwrap())
}

#[tokio::test]
async fn letters_that_another_process_wrote_before_are_known() {
    let options = fresh(2).await;
    let log = open(&options).await;
    let letters =
        [(0, 4), (1, 2)].map(|(partition, offset)| letter_of(partition, offset, "", "x".into()));
    log.dead_letter(letters.into()).await.unwrap();
    let log = open(&options).await;
    let newest = log.newest_letters().await.unwrap();
    let known = |partition, offset| is_known(&log, &newest, partition, offset);
    assert_eq!([known(0, 4), known(0, 5), known(1, 2), known(1, 3)], [true, false, true, false]);
    assert!(!newest.is_partial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_large_letters_the_newest_16_mib_are_read() {
    let log = open(&fresh(1).await).await;
    // Each is of a record in another partition, so it is known whether it was read.
    for number in 0..40 {
        log.dead_letter(vec![letter_of(number, 0, "u", vec![b'x'; 1_000_000])]).await.unwrap();
    }
    let newest = log.newest_letters().await.unwrap();
    let known: Vec<_> = (0..40).filter(|number| is_known(&log, &newest, *number, 0)).collect();
    assert!(known.len() <= 16 && (30..40).all(|number| known.contains(&number)), "{known:?}");
    assert!(newest.is_partial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_small_letters_the_newest_are_read() {
    let log = open(&fresh(1).await).await;
    for first in (0..12).map(|thousand| thousand * 1_000) {
        let letter = |number: i32| letter_of(number, 0, &format!("u{number}"), "x".into());
        log.dead_letter((first..first + 1_000).map(letter).collect()).await.unwrap();
    }
    let newest = log.newest_letters().await.unwrap();
    let known = (0..12_000).filter(|number| is_known(&log, &newest, *number, 0));
    assert!(known.eq(2_000..12_000));
    assert!(!newest.is_partial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_letters_that_come_slowly_those_of_five_seconds_are_read() {
    // About one letter a second.
    let slow = [
        ("queued.max.messages.kbytes", "1"),
        ("fetch.message.max.bytes", "1"),
        ("fetch.queue.backoff.ms", "1000"),
    ];
    let properties = slow.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let log = open(&KafkaLogOptions { properties, ..fresh(1).await }).await;
    for number in 0..40 {
        log.dead_letter(vec![letter_of(number, 0, "u", vec![b'x'; 2_000])]).await.unwrap();
    }
    let begun = Instant::now();
    let newest = log.newest_letters().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(is_known(&log, &newest, 39, 0) && !is_known(&log, &newest, 0, 0));
    assert!(newest.is_partial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_of_letters_that_cannot_be_read_costs_a_few_seconds_at_most() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 3, false)).await.unwrap();
    let options = named(stack.kafka_brokers().to_owned());
    // Each broker leads two partitions, which have no other replica.
    let name = options.letters_topic();
    let letters = NewTopic::new(&name, 6, TopicReplication::Fixed(1));
    admin(&options).create_topics(&[letters], &AdminOptions::new()).await.unwrap();
    setup(&options, 6, 1).await.unwrap();
    let log = open(&options).await;
    let letter = |number| letter_of(number, 0, &format!("u{number}"), "x".into());
    log.dead_letter((0..60).map(letter).collect()).await.unwrap();
    let read = async || {
        let begun = Instant::now();
        let newest = log.newest_letters().await;
        let took = begun.elapsed();
        let known = newest.as_ref().map_or(0, |newest| {
            (0..60).filter(|number| is_known(&log, newest, *number, 0)).count()
        });
        assert!(took < Duration::from_secs(6), "{took:?}");
        (known, newest.is_ok_and(|newest| newest.is_partial))
    };
    assert_eq!(read().await, (60, false));
    // The broker hangs; then it is gone, and the partitions have no leader.
    tokio::task::block_in_place(|| stack.stop(Node::Kafka(3)));
    read().await;
    tokio::task::block_in_place(|| stack.kill(Node::Kafka(3)));
    let (known, is_partial) = read().await;
    let begun = Instant::now();
    let mut last = (known, is_partial);
    while !(last.1 && (1..60).contains(&last.0)) && begun.elapsed() < LIMIT {
        last = read().await;
    }
    assert!(last.1 && (1..60).contains(&last.0), "{last:?}");
    log.close().await;
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}
