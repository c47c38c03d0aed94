//! `bookend verify` of a topic on a real Kafka.

use std::time::Duration;

use ingest::log::{
    KafkaLog,
    kafka::{KafkaLogOptions, setup},
};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use test_support::stack::Stack;

use super::*;

/// A transaction that is aborted leaves offsets without a record. The low watermark stays 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_begins_with_an_aborted_transaction_is_whole() {
    let brokers = tokio::task::spawn_blocking(|| Stack::shared_plain().kafka_brokers().to_owned());
    let name = format!("verify-{}", std::process::id());
    let options = KafkaLogOptions {
        brokers: brokers.await.unwrap(),
        topic: name.clone(),
        group: name,
        offsets_interval: Duration::from_millis(200),
        ..KafkaLogOptions::default()
    };
    setup(&options, 2, 1).await.unwrap();
    let aborting = options.clone();
    tokio::task::spawn_blocking(move || abort_a_transaction(&aborting)).await.unwrap();
    let log = KafkaLog::open(options, Clock::machine()).await.unwrap();
    let world = World { log: Log::Kafka(log), ..World::new() };
    // One of the two partitions holds only the aborted records.
    let ts = Clock::machine().now() - HOUR;
    world.append(&[start("kept", ts, "SK")]).await;
    world.consume().await;
    let row = SessionStart { ts, ..started("phantom", "SK") };
    world.store.apply(vec![Effect::RecordStart(row)], Clock::machine().now()).await.unwrap();
    let steps = Steps::default();
    let now = Clock::machine().now();
    let verdict = verify(&world.log, &world.store, now, 5 * MINUTE, &steps).await.unwrap();
    assert!(!verdict.log_is_cut);
    assert_eq!(verdict.differences.count, 1, "{}", verdict.differences);
    assert!(verdict.differences.first[0].text.contains("\"phantom\""));
}

/// Aborts a transaction with two records in each of two partitions.
fn abort_a_transaction(options: &KafkaLogOptions) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers).set("transactional.id", &options.topic);
    let producer: BaseProducer = config.create().unwrap();
    let limit = Duration::from_secs(30);
    producer.init_transactions(limit).unwrap();
    producer.begin_transaction().unwrap();
    for partition in [0, 0, 1, 1] {
        let record = BaseRecord::<[u8], str>::to(&options.topic).partition(partition);
        producer.send(record.payload("aborted")).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(limit).unwrap();
    producer.abort_transaction(limit).unwrap();
}
