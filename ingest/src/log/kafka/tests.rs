//! The promises of the log on Kafka beyond the contract, on real brokers. Each test has a topic and
//! a group of its own.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use shared::clock::Clock;
use test_support::stack;

use super::{
    append::outgoing::{Outgoing, TimeText},
    *,
};
use crate::log::{Log, LogError, NewRecord, Offsets, Record};

mod begins;
mod faults;
mod findings;
mod newest;
mod quotas;
mod rebalances;
mod records;
mod redrive;
mod refusals;
mod settings;
#[cfg(feature = "kafka-tls")]
mod tls;
mod topics;

/// No test takes this long, even on a slow machine.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Creates a topic of its own on the stack that all tests share.
pub(super) async fn fresh(partitions: i32) -> KafkaLogOptions {
    let options = absent().await;
    setup(&options, partitions, 1).await.unwrap();
    options
}

/// Options for a topic that does not exist yet.
pub(super) async fn absent() -> KafkaLogOptions {
    let brokers =
        tokio::task::spawn_blocking(|| stack::Stack::shared_plain().kafka_brokers().to_owned());
    named(brokers.await.unwrap())
}

/// A unique name for a topic and its group: the stack outlives this process and keeps older ones.
fn named(brokers: String) -> KafkaLogOptions {
    static CREATED: AtomicU32 = AtomicU32::new(0);
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let name = format!("kafka-{}-{}-{number}", Clock::machine().now().millis(), std::process::id());
    let offsets_interval = Duration::from_millis(200);
    KafkaLogOptions {
        brokers,
        topic: name.clone(),
        group: name,
        offsets_interval,
        ..KafkaLogOptions::default()
    }
}

pub(super) async fn open(options: &KafkaLogOptions) -> Log {
    Log::Kafka(KafkaLog::open(options.clone(), Clock::machine()).await.unwrap())
}

pub(super) fn record(key: &str, value: impl Into<Bytes>) -> NewRecord {
    NewRecord::new(Bytes::copy_from_slice(key.as_bytes()), value.into())
}

/// `count` records with as many keys.
pub(super) fn records(prefix: &str, count: usize) -> Vec<NewRecord> {
    (0..count).map(|n| record(&format!("user-{n}"), format!("{prefix}-{n}"))).collect()
}

/// Polls until `count` records have arrived.
pub(super) async fn poll(log: &Log, count: usize) -> Vec<Record> {
    let mut polled = Vec::new();
    while polled.len() < count {
        let more = tokio::time::timeout(LIMIT, log.poll(1_000)).await;
        polled.extend(
            more.unwrap_or_else(|_| panic!("only {} of {count} have arrived", polled.len()))
                .unwrap(),
        );
    }
    polled
}

/// Checks `condition` until it holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    // The brokers share the processors, so a busy loop would delay the condition.
    let mut checks = tokio::time::interval(Duration::from_millis(5));
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition() {
            checks.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting until {what}");
}

/// The offsets after the records.
pub(super) fn offsets_after(records: &[Record]) -> Offsets {
    let mut offsets = Offsets::new();
    for record in records {
        let next = offsets.entry(record.partition).or_default();
        *next = record.offset.max(*next - 1) + 1;
    }
    offsets
}

/// A client of an operator.
fn admin(options: &KafkaLogOptions) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap()
}

/// Deletes `topic`.
async fn delete(options: &KafkaLogOptions, topic: &str) {
    let deleted = admin(options).delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    deleted[0].clone().unwrap();
}

/// A producer of another program.
fn other_producer(
    options: &KafkaLogOptions,
    more: &[(&str, &str)],
) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers);
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// Appends a record as another program, off the runtime.
async fn append_as_other(options: &KafkaLogOptions, record: Outgoing, timestamp: Option<i64>) {
    let options = options.clone();
    let appending = tokio::task::spawn_blocking(move || {
        let producer = other_producer(&options, &[]);
        let mut new = BaseRecord::<[u8], [u8]>::to(&options.topic);
        (new.key, new.payload, new.timestamp) =
            (record.key.as_deref(), record.value.as_deref(), timestamp);
        new.headers = record.owned_headers(&mut TimeText::default());
        producer.send(new).map_err(|(error, _)| error).unwrap();
        producer.flush(LIMIT).unwrap();
    });
    appending.await.unwrap();
}
