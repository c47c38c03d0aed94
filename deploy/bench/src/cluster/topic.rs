//! The bare driver of Kafka: produces each line of a data set as a record with the user as key.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{StreamExt, stream::FuturesUnordered};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use shared::event::SessionEvent;

use crate::load;

/// The most records in flight.
const IN_FLIGHT: usize = 20_000;

/// A producer with the settings of the service: durable and idempotent.
pub(super) fn producer(brokers: &str) -> anyhow::Result<FutureProducer> {
    let settings = [
        ("bootstrap.servers", brokers),
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", "lz4"),
        ("linger.ms", "0"),
        ("partitioner", "murmur2_random"),
    ];
    let mut config = ClientConfig::new();
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    Ok(config.create()?)
}

/// Produces the data set to `topic` and returns the records per second.
pub(super) async fn fill(brokers: &str, topic: &str, file: &Path) -> anyhow::Result<f64> {
    let producer = producer(brokers)?;
    let record = |line: anyhow::Result<(SessionEvent, Vec<u8>)>| {
        line.map(|(event, text)| (event.user().to_string(), text))
    };
    let records: Vec<_> = load::events(file)?.map(record).collect::<anyhow::Result<_>>()?;
    let begun = Instant::now();
    let mut in_flight = FuturesUnordered::new();
    for (key, value) in &records {
        if in_flight.len() == IN_FLIGHT {
            delivered(in_flight.next().await)?;
        }
        in_flight.push(
            producer.send(FutureRecord::to(topic).key(key).payload(value), Duration::from_secs(60)),
        );
    }
    while let Some(outcome) = in_flight.next().await {
        delivered(Some(outcome))?;
    }
    Ok(records.len() as f64 / begun.elapsed().as_secs_f64())
}

fn delivered<T>(
    outcome: Option<Result<T, (rdkafka::error::KafkaError, rdkafka::message::OwnedMessage)>>,
) -> anyhow::Result<()> {
    outcome.context("no record was in flight")?.map_err(|(error, _)| error)?;
    Ok(())
}
