//! Appending: gives records to the driver within a bounded room, and answers when every one of them is durable or given up.
//!
//! What does not fit is refused at once, and so is everything while no broker can be reached. Whatever was given to the driver
//! is awaited to its end, so nothing is appended after the append was answered.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    error::KafkaError,
    message::{self, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    client,
    context::{Context, Health},
    delivery::Deliveries,
    options::KafkaLogOptions,
    thread::{DroppedAside, lock},
};
use crate::log::{Header, LogError, OpenError, Partition};

/// What a record costs of the room beside its own bytes.
const OVERHEAD: usize = 256;
/// How long one look for a broker takes at most.
const PROBE: Duration = Duration::from_secs(1);
/// How long it waits after one that failed.
const BETWEEN_PROBES: Duration = Duration::from_millis(200);

type Client = DroppedAside<ThreadedProducer<Context>>;

/// What appends. Clones share it.
#[derive(Clone)]
pub(super) struct Producer(Arc<Inner>);

struct Inner {
    options: KafkaLogOptions,
    /// Another one takes its place when the driver has given it up.
    client: Mutex<(Arc<Client>, Arc<Health>)>,
    room: Arc<Semaphore>,
    queued: Arc<AtomicUsize>,
}

/// A record as the driver is given it.
pub(super) struct Outgoing {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<Header>,
}

impl Producer {
    /// A producer of its own, which begins to look for the brokers.
    pub(super) fn open(options: &KafkaLogOptions) -> Result<Self, OpenError> {
        let inner = Arc::new(Inner {
            options: options.clone(),
            client: Mutex::new(
                made(options)
                    .map_err(|cause| OpenError::Configuration(format!("kafka: {cause}")))?,
            ),
            room: Arc::new(Semaphore::new(options.append_bytes.min(Semaphore::MAX_PERMITS))),
            queued: Arc::default(),
        });
        let producer = Arc::downgrade(&inner);
        thread::Builder::new().name("kafka-probe".to_owned()).spawn(move || probe(&producer))?;
        Ok(Self(inner))
    }

    /// Appends records to `topic`; answers when each of them is durable.
    pub(super) async fn append(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = Outgoing>,
    ) -> Result<(), LogError> {
        let mut records = records.into_iter().peekable();
        let mut given = Vec::new();
        let mut refused = None;
        while records.peek().is_some() {
            // More than the room holds goes through it in parts; only the first of them may be refused for want of room.
            let (mut part, mut bytes) = (Vec::with_capacity(records.size_hint().0), 0);
            while let Some(record) =
                records.next_if(|record| part.is_empty() || bytes + record.cost() <= self.part())
            {
                bytes += record.cost();
                part.push(record);
            }
            let room = match given.is_empty() {
                true => self.room_now(bytes),
                false => self.room(bytes).await,
            };
            match room {
                Ok(room) => given.push(self.give(topic, part, room)),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        for deliveries in given {
            if let Err(cause) = deliveries.done().await {
                refused.get_or_insert(busy(&cause));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Appends one record to `topic`; answers where it lies, or why the driver or the brokers refused it.
    pub(super) async fn append_one(
        &self,
        topic: &str,
        record: Outgoing,
    ) -> Result<Result<Option<(Partition, i64)>, KafkaError>, LogError> {
        let room = self.room(record.cost()).await?;
        Ok(self.give(topic, vec![record], room).done().await)
    }

    /// Gives `records` to the driver, which never blocks.
    fn give(
        &self,
        topic: &str,
        records: Vec<Outgoing>,
        room: OwnedSemaphorePermit,
    ) -> Arc<Deliveries> {
        let (client, health) = self.client();
        let deliveries = Deliveries::of(records.len(), &self.0.queued, room);
        let count = records.len();
        let Some(client) = client.get() else {
            deliveries.refuse(count, KafkaError::Canceled);
            return deliveries;
        };
        for (index, record) in records.iter().enumerate() {
            let outgoing = BaseRecord {
                topic,
                partition: None,
                payload: record.value.as_deref(),
                key: record.key.as_deref(),
                timestamp: None,
                headers: record.owned_headers(),
                delivery_opaque: Arc::clone(&deliveries),
            };
            if let Err((cause, _)) = client.send(outgoing) {
                if cause.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    health.give_up();
                }
                deliveries.refuse(count - index, cause);
                break;
            }
        }
        deliveries
    }

    /// How many bytes of one append are given to the driver together.
    fn part(&self) -> usize {
        self.0.options.append_bytes / 2
    }

    fn room_now(&self, bytes: usize) -> Result<OwnedSemaphorePermit, LogError> {
        self.ready()?;
        let room = Arc::clone(&self.0.room).try_acquire_many_owned(self.share(bytes));
        room.map_err(|_| LogError::Busy("too much waits to become durable".to_owned()))
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, LogError> {
        self.ready()?;
        let room = Arc::clone(&self.0.room).acquire_many_owned(self.share(bytes)).await;
        room.map_err(|_| LogError::Busy("the log is closed".to_owned()))
    }

    /// Of the room, what `bytes` need: all of it for a record that is larger.
    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.0.options.append_bytes)).unwrap_or(u32::MAX)
    }

    /// The client that is in use: another one when the driver has given up the last.
    fn client(&self) -> (Arc<Client>, Arc<Health>) {
        let mut client = lock(&self.0.client);
        if client.1.is_given_up()
            && let Ok(another) = made(&self.0.options)
        {
            tracing::warn!("the driver has given up a producer; another one takes its place");
            *client = another;
        }
        client.clone()
    }

    /// Whether any broker can be reached.
    pub(super) fn ready(&self) -> Result<(), LogError> {
        let (_, health) = self.client();
        match health.is_down() {
            true => Err(LogError::Busy(format!("no broker can be reached: {}", health.cause()))),
            false => Ok(()),
        }
    }

    /// How many records are not reported yet.
    pub(super) fn queued(&self) -> usize {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Waits, at most for `limit`, until nothing is left with the driver. Blocks.
    pub(super) fn flush(&self, limit: Duration) {
        if let Some(Err(error)) = self.client().0.get().map(|client| client.flush(limit)) {
            tracing::warn!(%error, records = self.queued(), "records that nobody was told to be durable are given up");
        }
    }
}

impl Outgoing {
    fn cost(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers =
            self.headers.iter().map(|header| header.name.len() + bytes(&header.value) + 64);
        bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>() + OVERHEAD
    }

    pub(super) fn owned_headers(&self) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len());
        for Header { name, value } in &self.headers {
            headers = headers.insert(message::Header { key: name, value: value.as_deref() });
        }
        Some(headers)
    }
}

fn made(options: &KafkaLogOptions) -> Result<(Arc<Client>, Arc<Health>), KafkaError> {
    let health = Arc::new(Health::default());
    let client =
        client::made(&client::producer(options), Context::new("producer", Arc::clone(&health)))?;
    Ok((Arc::new(DroppedAside::new(client)), health))
}

/// While no broker can be reached nothing is given to the driver, which then has no reason to look for one: this asks.
fn probe(producer: &Weak<Inner>) {
    while let Some(inner) = producer.upgrade() {
        let (client, health) = lock(&inner.client).clone();
        let topic = inner.options.topic.clone();
        drop(inner);
        if health.wait_until_down(PROBE)
            && let Some(client) = client.get()
        {
            match client.client().fetch_metadata(Some(&topic), PROBE) {
                Ok(_) => health.up(),
                Err(_) => thread::sleep(BETWEEN_PROBES),
            }
        }
    }
}

/// Nothing that the driver or the brokers say of an append is for good: a fault passes, or a person mends it.
pub(super) fn busy(cause: &KafkaError) -> LogError {
    LogError::Busy(cause.to_string())
}

#[cfg(test)]
mod tests;
