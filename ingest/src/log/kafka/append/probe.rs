//! Asks the brokers for the topics every second, so that the driver and this process notice soon
//! when a topic is missing or exists again, and reconnects while no broker can be reached.

use std::{sync::Arc, thread, time::Duration};

use rdkafka::{
    client::Client,
    error::KafkaResult,
    producer::{Producer as _, ThreadedProducer},
};

use super::{
    super::{
        context::{Context, Health},
        offsets::{fetch_partitions_within, is_unknown_topic},
        thread::DroppedAside,
    },
    presence::Presence,
};

/// The time between two probes while a broker can be reached.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a failed probe.
const PROBE_PAUSE: Duration = Duration::from_millis(200);

/// The driver's producer.
pub(super) type DriverProducer = DroppedAside<ThreadedProducer<Context>>;

/// The client to probe, and where the result goes.
pub(super) struct Probe {
    pub(super) client: Arc<DriverProducer>,
    pub(super) health: Arc<Health>,
    pub(super) presence: Arc<Presence>,
    pub(super) topics: [String; 2],
}

/// Probes until `next` returns `None`. Otherwise the driver would look for a missing topic once a
/// minute, and would not reconnect while nothing is appended.
pub(super) fn run(next: impl Fn() -> Option<Probe>) {
    while let Some(Probe { client, health, presence, topics }) = next() {
        let Some(client) = client.get() else { return };
        for topic in &topics {
            if look(client.client(), topic, &presence).is_ok() {
                health.up();
            } else {
                thread::sleep(PROBE_PAUSE);
            }
        }
        health.wait_until_down(PROBE_INTERVAL);
    }
}

/// Fetches the metadata of `topic`, which also updates the driver's own.
fn look(client: &Client<Context>, topic: &str, presence: &Presence) -> KafkaResult<()> {
    match fetch_partitions_within(client, topic, PROBE_TIMEOUT) {
        Ok(_) => presence.set(topic, true),
        Err(error) if is_unknown_topic(&error) => presence.set(topic, false),
        Err(error) => return Err(error),
    }
    Ok(())
}
