//! The log on Kafka: records and dead letters in two topics, committed offsets in a group.
//!
//! Nothing here blocks the runtime, and no fault of the cluster ends the process: meanwhile appends
//! are refused and polls wait. The first poll joins the group, so an endpoint alone is not a
//! member.

use std::{fmt, sync::Arc, time::Duration};

use prometheus::Registry;
use rdkafka::{consumer::BaseConsumer, error::KafkaError};
use shared::{
    clock::Clock,
    skew::{self, Server},
    timestamp::MINUTE,
};
use tokio::sync::Mutex as AsyncMutex;

pub use self::{
    admin::setup::{SetupReport, setup},
    consume::KafkaCursor,
    options::{GroupProtocol, KafkaLogOptions, Mechanism, Mistake, Security},
};
use self::{
    append::producer::Producer,
    consume::{group::Group, reader::TopicSource},
    context::Context,
    failure::RequestError,
    findings::{checks::Checks, finding::Purpose},
    metrics::KafkaMetrics,
    offsets::{Leaderless, is_unknown_topic},
    positions::{Known, Positions},
    thread::{drop_aside, off_runtime},
};
use super::{LogError, LogOpenError};

mod admin;
mod append;
mod begin;
mod check;
mod client;
mod consume;
mod context;
mod failure;
mod findings;
pub(super) mod metrics;
mod offsets;
mod options;
mod positions;
mod record;
mod thread;
mod throttle;

/// How long a close waits for delivery reports.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The log on Kafka. Clones share it.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    options: KafkaLogOptions,
    clock: Clock,
    /// Whether the clock differs from the brokers': appended records then carry their append time.
    stamps: bool,
    producer: Producer,
    group: Group,
    records: Arc<Positions>,
    letters: Positions,
    metrics: KafkaMetrics,
    checks: Arc<Checks>,
    /// One redrive at a time.
    redriving: AsyncMutex<()>,
}

/// The version of librdkafka.
#[must_use]
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

impl KafkaLog {
    /// Opens the log that `options` describe. The brokers may be unreachable, and the topics may be
    /// missing: appends are refused meanwhile. A `clock` that differs from the machine's sets the
    /// append time in place of the brokers' clock.
    ///
    /// # Errors
    /// [`LogOpenError::Configuration`]: a mistake in the options.
    pub async fn open(options: KafkaLogOptions, clock: Clock) -> Result<Self, LogOpenError> {
        options.check()?;
        let machine = Clock::machine().now();
        if clock.now() > machine + MINUTE {
            return Err(LogOpenError::Configuration(
                "kafka: --as-of is ahead of this machine's clock; choose a time in the past, or remove --as-of"
                    .to_owned(),
            ));
        }
        let member = options.clone();
        let joinable = off_runtime("kafka-check", move || {
            let context = Context::new("check", Arc::default());
            client::create::<BaseConsumer<Context>>(&client::member(&member), context)
                .map(drop_aside)
        });
        joinable.await.map_err(|error| match error {
            RequestError::Thread(_) => LogOpenError::Unavailable(error.to_string()),
            error => LogOpenError::Configuration(format!("kafka: {error}")),
        })?;
        let source = TopicSource::new(&options, &options.topic, &options.group, clock);
        let records = Arc::<Positions>::default();
        let unusable = |cause: String| LogOpenError::Configuration(format!("kafka: {cause}"));
        let metrics = KafkaMetrics::new().map_err(|error| unusable(error.to_string()))?;
        let checks = Checks::new(&options, metrics.clone());
        let log = Self(Arc::new(Inner {
            clock,
            stamps: clock.now() < machine - MINUTE,
            producer: Producer::open(&options, metrics.throttled_seconds.clone())?,
            group: Group::new(source, Arc::clone(&records)),
            records,
            letters: Positions::default(),
            metrics,
            checks: checks.map_err(|error| unusable(error.to_string()))?,
            redriving: AsyncMutex::default(),
            options,
        }));
        log.query_positions().await?;
        Ok(log)
    }

    /// Queries the positions of both topics, if the brokers can be reached.
    async fn query_positions(&self) -> Result<(), LogOpenError> {
        let query = |source: TopicSource| async move {
            let topic = source.topic.clone();
            let query = move || source.offsets(Leaderless::Allow);
            (topic, off_runtime("kafka-query", query).await)
        };
        let (records, letters) =
            tokio::join!(query(self.records_source()), query(self.letters_source()));
        for (positions, (topic, found)) in [(&*self.0.records, records), (&self.0.letters, letters)]
        {
            match found {
                Ok(found) => positions.merge(&Known::default(), &found),
                Err(RequestError::Kafka(error)) if is_unknown_topic(&error) => {
                    self.0.producer.presence().set(&topic, false);
                }
                Err(RequestError::Kafka(KafkaError::ClientCreation(cause))) => {
                    return Err(LogOpenError::Configuration(format!("kafka: {cause}")));
                }
                Err(lost @ RequestError::Thread(_)) => {
                    return Err(LogOpenError::Unavailable(format!("kafka: {lost}")));
                }
                // The producer has logged why.
                Err(error) if self.0.producer.ready(&topic).is_err() => {
                    tracing::debug!(%error, "the offsets of topic {topic} could not be queried");
                }
                Err(error) => {
                    tracing::warn!(%error, "the offsets of topic {topic} could not be queried");
                }
            }
        }
        Ok(())
    }

    /// Registers the metrics of the log, and starts to check the settings of the topics.
    pub(super) fn watch(&self, registry: &Registry) -> prometheus::Result<()> {
        self.0.checks.start();
        let skew = Arc::clone(self.0.producer.skew());
        skew::register(registry, Server::Kafka, Some(skew))?;
        self.0.metrics.register(registry)
    }

    /// The records' topic for its consumer group.
    fn records_source(&self) -> TopicSource {
        let Inner { options, clock, .. } = &*self.0;
        TopicSource::new(options, &options.topic, &options.group, *clock)
    }

    /// The dead letters' topic for the redrive group.
    fn letters_source(&self) -> TopicSource {
        let Inner { options, clock, .. } = &*self.0;
        let (topic, group) = (options.letters_topic(), options.redrive_group());
        TopicSource::new(options, &topic, &group, *clock)
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.0.producer
    }

    /// Whether records can be appended.
    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.0.producer.ready(&self.0.options.topic)?;
        self.unblocked(Purpose::Events)
    }

    /// Whether records can be consumed: also a dead letter must find its topic.
    pub(super) fn ready_to_consume(&self) -> Result<(), LogError> {
        self.ready()?;
        self.0.producer.ready(&self.0.options.letters_topic())?;
        self.unblocked(Purpose::DeadLetters)
    }

    /// Whether no finding about a topic stands in the way of an append.
    fn unblocked(&self, purpose: Purpose) -> Result<(), LogError> {
        self.0.checks.blocking(purpose).map_or(Ok(()), |cause| Err(LogError::Busy(cause)))
    }

    pub(super) fn group(&self) -> &Group {
        &self.0.group
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.0.records
    }

    /// The number of records in the dead letters' topic after those already redriven or kept.
    /// Transaction markers count too, if another program has written them there.
    pub(super) fn dead_letters(&self) -> u64 {
        let left = self.0.letters.get().into_values().map(|at| at.end - at.committed).sum::<i64>();
        u64::try_from(left).unwrap_or(0)
    }

    pub(super) async fn close(&self) {
        let (leaving, producer) = (self.0.group.close(), self.0.producer.clone());
        let closed = off_runtime("kafka-close", move || {
            producer.flush(FLUSH_TIMEOUT);
            drop(leaving.map(std::thread::JoinHandle::join));
            Ok(())
        });
        if tokio::time::timeout(2 * FLUSH_TIMEOUT, closed).await.is_err() {
            tracing::warn!(
                "the consumer group could not be left in time; its partitions move after the session timeout"
            );
        }
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaLog")
    }
}

#[cfg(test)]
mod tests;
