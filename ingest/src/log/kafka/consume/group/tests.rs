//! The thread that watches a membership.

use std::{
    collections::BTreeSet,
    sync::Weak,
    time::{Duration, Instant},
};

use rdkafka::consumer::Consumer as _;

use super::*;
use crate::log::{
    Log,
    kafka::{
        KafkaLogOptions,
        consume::{
            assignment::{Assignment, FetchPlan},
            member::Member,
        },
        record,
        tests::{self, fresh, offsets_after, open, poll, records, until},
    },
};

fn group(log: &Log) -> &Group {
    match log {
        Log::Kafka(log) => &log.0.group,
        Log::Embedded(_) => panic!("not a log on Kafka"),
    }
}

fn member(log: &Log) -> Arc<Member> {
    group(log).watch.member.lock().clone().unwrap()
}

/// Whether so many records of partitions 0 and 1 are buffered that both are paused.
fn is_full(assignment: &Assignment) -> bool {
    let plan = assignment.fetch_plan(FetchPlan::NOTHING);
    !plan.includes(0) && !plan.includes(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_makes_no_progress_is_made_anew() {
    let options = KafkaLogOptions { stall_limit: Duration::from_secs(2), ..fresh(2).await };
    let log = open(&options).await;
    log.append(records("before", 20)).await.unwrap();
    let polled = poll(&log, 20).await;
    log.commit(offsets_after(&polled)).await.unwrap();
    // Like a consumer whose partitions the driver forgot to resume.
    let stuck = member(&log);
    let consumer = stuck.consumer.upgrade().unwrap();
    consumer.pause(&consumer.assignment().unwrap()).unwrap();
    drop(consumer);
    log.append(records("after", 20)).await.unwrap();
    let again = poll(&log, 20).await;
    assert!(again.iter().all(|record| record.value.as_ref().unwrap().starts_with(b"after")));
    assert!(!Arc::ptr_eq(&stuck, &member(&log)));
    log.commit(offsets_after(&again)).await.unwrap();
    until("the old consumer is dropped", || Weak::strong_count(&stuck.consumer) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_waits_for_its_caller_is_left_alone() {
    let options = KafkaLogOptions {
        poll_bytes: 10_000,
        stall_limit: Duration::from_secs(2),
        offsets_interval: Duration::from_millis(100),
        ..fresh(2).await
    };
    let log = open(&options).await;
    log.append(records("r", 500)).await.unwrap();
    let polled = poll(&log, 1).await;
    // Once the buffer was full, nothing is fetched before a quarter of it is free. A slow broker
    // may have caused a new membership meanwhile.
    let filled =
        || group(&log).watch.member.lock().as_ref().is_some_and(|it| is_full(&it.assignment));
    until("the buffer is full", filled).await;
    let first = member(&log);
    let begun = Instant::now();
    until("the stall limit has passed twice", || begun.elapsed() > 2 * options.stall_limit).await;
    assert!(Arc::ptr_eq(&first, &member(&log)));
    // All buffered records, which are within the bound.
    let waiting = log.poll(usize::MAX).await.unwrap();
    let bytes: usize = waiting.iter().map(record::size).sum();
    assert!(
        bytes < 2 * options.poll_bytes,
        "{bytes} bytes of {} records are buffered",
        waiting.len()
    );
    poll(&log, 500 - polled.len() - waiting.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_has_no_more_does_not_hold_the_others_back() {
    let options = KafkaLogOptions {
        poll_bytes: 40_000,
        stall_limit: Duration::from_secs(3_600),
        ..fresh(2).await
    };
    let log = open(&options).await;
    log.append(records("r", 20)).await.unwrap();
    let polled = poll(&log, 20).await;
    let more = |partition, count| {
        let found = polled.iter().find(|record| record.partition == partition).unwrap();
        let key = str::from_utf8(found.key.as_ref().unwrap()).unwrap();
        (0..count).map(|n| tests::record(key, n.to_string())).collect::<Vec<_>>()
    };
    // More than an eighth of the buffer, and less than half of it.
    log.append(more(0, 100)).await.unwrap();
    log.append(more(1, 300)).await.unwrap();
    let filled =
        || group(&log).watch.member.lock().as_ref().is_some_and(|it| is_full(&it.assignment));
    until("the buffer is full", filled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_held_back_when_it_moved_is_consumed_when_it_comes_back() {
    let options = KafkaLogOptions {
        poll_bytes: 10_000,
        revoke_timeout: Duration::from_millis(100),
        // No watch may repair it.
        stall_limit: Duration::from_secs(3_600),
        ..fresh(2).await
    };
    let first = open(&options).await;
    first.append(records("r", 500)).await.unwrap();
    let mut polled = poll(&first, 1).await;
    let filled =
        || group(&first).watch.member.lock().as_ref().is_some_and(|it| is_full(&it.assignment));
    until("the buffer is full", filled).await;
    let second = open(&options).await;
    let moved = poll(&second, 1).await[0].partition;
    let stays = 1 - moved;
    until("the end of the partition is known", || first.positions().contains_key(&stays)).await;
    let end = first.positions()[&stays].end;
    while !polled.iter().any(|record| (record.partition, record.offset + 1) == (stays, end)) {
        polled.extend(poll(&first, 1).await);
    }
    second.close().await;
    // Nothing was committed: all records are delivered again.
    let mut again = BTreeSet::new();
    while again.len() < usize::try_from(first.positions()[&moved].end).unwrap() {
        let polled = poll(&first, 1).await;
        again.extend(
            polled.iter().filter(|record| record.partition == moved).map(|record| record.offset),
        );
    }
}
