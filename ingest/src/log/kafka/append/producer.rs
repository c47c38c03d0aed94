//! The producer: bounds the bytes in flight, and waits until each record is durable or given up.
//!
//! An append beyond the bound is refused at once, and so is every append while no broker can be
//! reached. Every record handed to the driver is awaited, so nothing is appended after the reply.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::Counter;
use rdkafka::{
    error::KafkaError,
    producer::{BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use shared::{
    skew::{Server, Skew},
    telemetry::Repeats,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{context::Health, options::KafkaLogOptions, throttle::Throttle},
    connect::connect,
    delivery::Deliveries,
    outgoing::{Outgoing, TimeText},
    presence::Presence,
    probe::{self, DriverProducer, Probe},
    refusal::{is_late, refusal},
    times::AppendTimes,
};
use crate::log::{LogError, LogOpenError, Offsets, Partition};

/// The producer. Clones share it.
#[derive(Clone)]
pub(crate) struct Producer(Arc<Inner>);

struct Inner {
    options: KafkaLogOptions,
    /// Replaced when the driver declares it unusable.
    client: Mutex<(Arc<DriverProducer>, Arc<Health>)>,
    presence: Arc<Presence>,
    throttle: Arc<Throttle>,
    skew: Arc<Skew<Partition>>,
    /// One permit for each byte that may be in flight.
    bytes: Arc<Semaphore>,
    queued: Arc<AtomicUsize>,
    repeats: Repeats,
}

/// The outcome of an append of one record.
pub(crate) enum Appended {
    /// It is durable; the offset after it, by partition.
    At(Offsets),
    /// The brokers or the driver refuse a record of this size.
    TooLarge,
}

impl Producer {
    /// Starts a producer, which connects in the background.
    pub(crate) fn open(
        options: &KafkaLogOptions,
        throttled_seconds: Counter,
    ) -> Result<Self, LogOpenError> {
        let throttle = Arc::new(Throttle::new(throttled_seconds));
        let inner = Arc::new(Inner {
            options: options.clone(),
            client: Mutex::new(connect(options, &throttle).map_err(|cause| {
                LogOpenError::Configuration(format!("kafka: no producer can be created: {cause}"))
            })?),
            throttle,
            presence: Arc::default(),
            skew: Arc::new(Skew::new(Server::Kafka)),
            bytes: Arc::new(Semaphore::new(options.append_bytes.min(Semaphore::MAX_PERMITS))),
            queued: Arc::default(),
            repeats: Repeats::default(),
        });
        let producer = Arc::downgrade(&inner);
        let probe = move || probe::run(|| Some(producer.upgrade()?.probe()));
        thread::Builder::new().name("kafka-probe".to_owned()).spawn(probe)?;
        Ok(Self(inner))
    }

    /// Appends records to `topic`; returns when each of them is durable.
    pub(crate) async fn append(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = Outgoing>,
    ) -> Result<(), LogError> {
        let mut records = records.into_iter().peekable();
        let mut sent = Vec::new();
        let mut refused = None;
        while records.peek().is_some() {
            // An append above the bound is sent in parts, of which only the first may be refused.
            let (mut part, mut bytes) = (Vec::with_capacity(records.size_hint().0), 0);
            while let Some(cost) = records.peek().map(Outgoing::cost)
                && (part.is_empty() || bytes + cost <= self.part())
            {
                bytes += cost;
                part.extend(records.next());
            }
            let permit = match sent.is_empty() {
                true => self.try_acquire(topic, bytes),
                false => self.acquire(topic, bytes).await,
            };
            match permit {
                Ok(permit) => {
                    let times = AppendTimes::promising(&self.0.skew, &part);
                    sent.push(self.send(topic, part, permit, times));
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        for deliveries in sent {
            let outcome = deliveries.done().await.map_err(|cause| self.failure(topic, cause));
            if let Err(error) = outcome.and_then(|_| deliveries.times().check()) {
                refused.get_or_insert(error);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    pub(crate) async fn append_one(
        &self,
        topic: &str,
        record: Outgoing,
    ) -> Result<Appended, LogError> {
        let permit = self.acquire(topic, record.cost()).await?;
        let times = AppendTimes::new(&self.0.skew);
        match self.send(topic, vec![record], permit, times).done().await {
            Ok(place) => Ok(Appended::At(
                place.into_iter().map(|(partition, offset)| (partition, offset + 1)).collect(),
            )),
            Err(cause)
                if cause.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) =>
            {
                Ok(Appended::TooLarge)
            }
            Err(cause) => Err(self.failure(topic, cause)),
        }
    }

    /// Hands `records` to the driver, which never blocks.
    fn send(
        &self,
        topic: &str,
        records: Vec<Outgoing>,
        permit: OwnedSemaphorePermit,
        times: AppendTimes,
    ) -> Arc<Deliveries> {
        let (client, health) = self.client();
        let deliveries = Deliveries::new(records.len(), &self.0.queued, permit, times);
        let count = records.len();
        let Some(client) = client.get() else {
            deliveries.refuse(count, KafkaError::Canceled);
            return deliveries;
        };
        let mut text = TimeText::default();
        for (index, record) in records.iter().enumerate() {
            let outgoing = BaseRecord {
                topic,
                partition: None,
                payload: record.value.as_deref(),
                key: record.key.as_deref(),
                timestamp: None,
                headers: record.owned_headers(&mut text),
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

    /// The bytes of one append that are handed to the driver together.
    fn part(&self) -> usize {
        self.0.options.append_bytes / 2
    }

    fn try_acquire(&self, topic: &str, bytes: usize) -> Result<OwnedSemaphorePermit, LogError> {
        self.open_for(topic)?;
        let permit = Arc::clone(&self.0.bytes).try_acquire_many_owned(self.permits(bytes));
        permit.map_err(|_| {
            let limit = self.0.options.append_bytes;
            LogError::Busy(format!(
                "the limit of {} MiB of appends in flight is reached",
                limit >> 20
            ))
        })
    }

    async fn acquire(&self, topic: &str, bytes: usize) -> Result<OwnedSemaphorePermit, LogError> {
        self.open_for(topic)?;
        let permit = Arc::clone(&self.0.bytes).acquire_many_owned(self.permits(bytes)).await;
        permit.map_err(|_| LogError::Busy("the log is closed".to_owned()))
    }

    /// Whether an append to `topic` may begin now.
    fn open_for(&self, topic: &str) -> Result<(), LogError> {
        match self.0.throttle.refuses() {
            Some(left) => Err(LogError::Throttled { left }),
            None => self.ready(topic),
        }
    }

    /// The error of an append that failed: a throttle explains why it took too long.
    fn failure(&self, topic: &str, cause: KafkaError) -> LogError {
        match self.0.throttle.left() {
            Some(left) if is_late(&cause) => LogError::Throttled { left },
            _ => refusal(topic, cause),
        }
    }

    /// The permits for `bytes`: all of them for a record larger than the bound.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.0.options.append_bytes)).unwrap_or(u32::MAX)
    }

    /// The client in use. Replaces one that the driver has declared unusable.
    fn client(&self) -> (Arc<DriverProducer>, Arc<Health>) {
        let mut client = self.0.client.lock();
        if client.1.is_given_up()
            && let Ok(another) = connect(&self.0.options, &self.0.throttle)
        {
            if let Some(suppressed) = self.0.repeats.due("unusable") {
                tracing::warn!(suppressed, "a Kafka producer is unusable; a new one replaces it");
            }
            *client = another;
        }
        client.clone()
    }

    /// Whether records can be appended to `topic`.
    pub(crate) fn ready(&self, topic: &str) -> Result<(), LogError> {
        let (_, health) = self.client();
        match health.is_down() {
            true => Err(LogError::Busy(health.unreachable(&self.0.options.brokers))),
            false => self.0.presence.check(topic),
        }
    }

    /// The skew of the brokers that lead partitions.
    pub(crate) fn skew(&self) -> &Arc<Skew<Partition>> {
        &self.0.skew
    }

    /// Whether the topics exist.
    pub(crate) fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// How long the brokers throttle the producer.
    #[cfg(test)]
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// The number of records without a delivery report.
    pub(crate) fn queued(&self) -> usize {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Waits for every delivery report, at most for `limit`. Blocks.
    pub(crate) fn flush(&self, limit: Duration) {
        if let Some(Err(error)) = self.client().0.get().map(|client| client.flush(limit)) {
            tracing::warn!(
                %error,
                records = self.queued(),
                "records were not delivered before the shutdown; none of them was acknowledged"
            );
        }
    }
}

impl Inner {
    fn probe(&self) -> Probe {
        let (client, health) = self.client.lock().clone();
        let topics = [self.options.topic.clone(), self.options.letters_topic()];
        Probe { client, health, presence: Arc::clone(&self.presence), topics }
    }
}

#[cfg(test)]
mod tests;
