//! A producer that the driver has declared unusable, and an append whose future is dropped.

use super::*;
use crate::log::{
    Log,
    kafka::tests::{fresh, open, poll, records, until},
};

fn producer(log: &Log) -> &Producer {
    match log {
        Log::Kafka(log) => &log.0.producer,
        Log::Embedded(_) => panic!("not a log on Kafka"),
    }
}

#[tokio::test]
async fn another_takes_the_place_of_a_producer_that_the_driver_has_given_up() {
    let log = open(&fresh(2).await).await;
    log.append(records("before", 10)).await.unwrap();
    let (first, health) = producer(&log).client();
    health.give_up();
    log.append(records("after", 10)).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &producer(&log).client().0));
    assert_eq!(poll(&log, 20).await.len(), 20);
}

#[tokio::test]
async fn an_append_that_is_given_up_gives_its_room_back() {
    let log = open(&fresh(2).await).await;
    let permits = producer(&log).0.bytes.available_permits();
    assert!(futures_util::FutureExt::now_or_never(log.append(records("r", 100))).is_none());
    until("its permits are free", || producer(&log).0.bytes.available_permits() == permits).await;
    assert_eq!(log.queued(), 0);
    assert_eq!(poll(&log, 100).await.len(), 100);
}
