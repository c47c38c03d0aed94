//! The watch over a membership.

use std::sync::Weak;

use rdkafka::consumer::Consumer as _;

use super::*;
use crate::log::{
    Log,
    kafka::{
        KafkaLogOptions,
        tests::{behind, fresh, open, poll, records, until},
    },
};

fn group(log: &Log) -> &Group {
    match log {
        Log::Kafka(log) => &log.0.group,
        Log::Embedded(_) => panic!("this is no Kafka"),
    }
}

fn member(log: &Log) -> Arc<Member> {
    lock(&group(log).inner.member).clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_makes_no_progress_is_made_anew() {
    let options = KafkaLogOptions { stall_limit: Duration::from_secs(2), ..fresh(2).await };
    let log = open(&options).await;
    log.append(records("before", 20)).await.unwrap();
    let polled = poll(&log, 20).await;
    log.commit(behind(&polled)).await.unwrap();
    // As one that the driver has forgotten to go on with.
    let stuck = member(&log);
    let consumer = stuck.consumer.upgrade().unwrap();
    consumer.pause(&consumer.assignment().unwrap()).unwrap();
    drop(consumer);
    log.append(records("after", 20)).await.unwrap();
    let again = poll(&log, 20).await;
    assert!(again.iter().all(|record| record.value.as_ref().unwrap().starts_with(b"after")));
    assert!(!Arc::ptr_eq(&stuck, &member(&log)));
    log.commit(behind(&again)).await.unwrap();
    until("the old one is gone", || Weak::strong_count(&stuck.consumer) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_waits_for_its_caller_is_left_alone() {
    let options = KafkaLogOptions {
        poll_bytes: 10_000,
        stall_limit: Duration::from_secs(2),
        look_interval: Duration::from_millis(100),
        ..fresh(2).await
    };
    let log = open(&options).await;
    log.append(records("r", 500)).await.unwrap();
    poll(&log, 1).await;
    // Once it was full, no more is fetched before half of it is free. A broker that took too long may have made it anew.
    let filled = || lock(&group(&log).inner.member).as_ref().is_some_and(|it| it.assignment.is_full(true));
    until("it was filled", filled).await;
    let first = member(&log);
    let begun = Instant::now();
    until("some time has gone", || begun.elapsed() > 2 * options.stall_limit).await;
    assert!(Arc::ptr_eq(&first, &member(&log)));
    poll(&log, 499).await;
}
