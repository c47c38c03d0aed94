//! The settings of the log, embedded or on Kafka.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::{
    clock::Clock,
    config::{Bytes, DurationValue, Setting, Settings},
    progress::Progress,
};

use super::{
    EmbeddedLog, KafkaLog, Log, LogOpenError,
    embedded::EmbeddedLogOptions,
    kafka::{GroupProtocol, KafkaLogOptions, Mechanism, Mistake, Security, SetupReport, setup},
};

/// The record buffer on Kafka in consumer batches: half for all partitions, half for the next one.
const READY_BATCHES: usize = 2;

/// How long a command waits for a topic that was just created.
const NEW_TOPIC: Duration = Duration::from_secs(3);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(100);

/// The configuration of a log.
#[derive(Clone, Debug)]
pub enum LogConfig {
    /// In files of this process, in a directory.
    Embedded(PathBuf, EmbeddedLogOptions),
    /// A topic on Kafka.
    Kafka(Box<KafkaLogOptions>, NewTopics),
}

/// The layout of the topics that `setup` creates.
#[derive(Clone, Copy, Debug)]
pub struct NewTopics {
    partitions: i32,
    replication: i32,
}

/// The settings of the embedded log.
#[must_use]
#[rustfmt::skip]
pub fn embedded_settings() -> Vec<Setting> {
    let setting = |name, value, default, help| Setting::new(name, value, default, help).under("Embedded log");
    vec![
        setting("log-segment", "BYTES", "64MiB", "Size of a segment file of the embedded log"),
        setting("log-retention-time", "TIME", "7d", "How long the embedded log keeps consumed records"),
        setting("log-retention-size", "BYTES", "16GiB", "Maximum size of the embedded log's consumed records; the oldest are deleted first"),
    ]
}

/// The settings of the log on Kafka.
#[must_use]
#[rustfmt::skip]
pub fn kafka_settings() -> Vec<Setting> {
    let settings = [
        Setting::new("kafka-brokers", "HOST:PORT,…", "127.0.0.1:9092", "Bootstrap brokers").common(),
        Setting::new("kafka-topic", "NAME", "session-events", "Topic that events are read from; dead letters go to NAME.dlq"),
        Setting::new("kafka-group", "NAME", "bookend", "Consumer group"),
        Setting::new("kafka-member", "NAME", "", "Static name of this group member: a short restart then causes no rebalance"),
        Setting::new("kafka-group-protocol", "NAME", "classic", "Group protocol; with consumer, brokers assign the partitions (from Kafka 4.0)").one_of::<GroupProtocol>(),
        Setting::new("kafka-security", "PROTOCOL", "plaintext", "Security protocol").one_of::<Security>(),
        Setting::new("kafka-mechanism", "NAME", "PLAIN", "SASL mechanism").one_of::<Mechanism>(),
        Setting::new("kafka-username", "NAME", "", "SASL user name"),
        Setting::secret("kafka-password", "SASL password"),
        Setting::new("kafka-ca-file", "FILE", "", "CA certificates that brokers are verified against, in PEM [default: the system's]"),
        Setting::new("kafka-session-timeout", "TIME", "30s", "Session timeout of the group member (protocol classic only)"),
        Setting::new("kafka-delivery-timeout", "TIME", "10s", "Time limit for an event to become durable; then its batch gets 503"),
        Setting::new("kafka-append-deadline", "TIME", "12s", "Time limit for a batch to become durable; must exceed the delivery timeout"),
        Setting::new("kafka-replication", "N", "3", "Replication factor of the topics that `bookend setup` creates"),
        Setting::list("kafka-property", "KEY=VALUE", "Set any librdkafka property; overrides the other settings (repeatable)").redacted(),
    ];
    settings.map(|setting| setting.under("Kafka")).into()
}

impl LogConfig {
    /// Reads the settings of the embedded log below `data_dir`.
    pub fn embedded(given: &mut Settings, data_dir: &Path, reserve_bytes: u64) -> Self {
        let options = EmbeddedLogOptions {
            partitions: given.get("log-partitions"),
            segment_bytes: given.get_or("log-segment", Bytes(0)).0,
            retention_bytes: given.get_or("log-retention-size", Bytes(0)).0,
            retention_ms: given.get::<DurationValue>("log-retention-time").millis(),
            reserve_bytes,
        };
        if !(1..=64).contains(&options.partitions) {
            given.mistake("log-partitions", "must be from 1 to 64 for an embedded log");
        }
        Self::Embedded(data_dir.join("log"), options)
    }

    /// Reads the settings of the log on Kafka.
    pub fn kafka(given: &mut Settings) -> Self {
        let defaults = KafkaLogOptions::default();
        // A mistaken duration is replaced by the default, so that it is reported once.
        let span =
            |given: &mut Settings, name, otherwise| given.get_or(name, DurationValue(otherwise)).0;
        let properties: Vec<String> = given.get_list("kafka-property");
        let pairs = properties.iter().filter_map(|property| property.split_once('='));
        let options = KafkaLogOptions {
            brokers: given.get("kafka-brokers"),
            topic: given.get("kafka-topic"),
            group: given.get("kafka-group"),
            member: given.get_optional("kafka-member"),
            group_protocol: given.get("kafka-group-protocol"),
            security: given.get("kafka-security"),
            mechanism: given.get("kafka-mechanism"),
            username: given.get_optional("kafka-username"),
            password: given.secret("kafka-password"),
            ca_file: given.get_optional("kafka-ca-file"),
            properties: pairs
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
            session_timeout: span(given, "kafka-session-timeout", defaults.session_timeout),
            delivery_timeout: span(given, "kafka-delivery-timeout", defaults.delivery_timeout),
            append_deadline: span(given, "kafka-append-deadline", defaults.append_deadline),
            ..defaults
        };
        if options.properties.len() < properties.len() {
            given.mistake("kafka-property", "expected KEY=VALUE");
        }
        if let Err(Mistake { setting, cause }) = options.check() {
            given.mistake(setting, &cause);
        }
        let mut number = |name| given.get_or(name, NonZero::<u16>::MIN).get().into();
        let topics = NewTopics {
            partitions: number("log-partitions"),
            replication: number("kafka-replication"),
        };
        Self::Kafka(Box::new(options), topics)
    }

    /// How long a caller must wait for the outcome of an append; `None` if the log sets no limit.
    #[must_use]
    pub fn append_deadline(&self) -> Option<Duration> {
        match self {
            Self::Embedded(..) => None,
            Self::Kafka(options, _) => Some(options.append_deadline),
        }
    }

    /// The best size of a micro-batch in bytes of records, and the best number of micro-batches in
    /// flight. On Kafka the size is large: Cassandra works less per record when the records of a
    /// user come together, and the records' own overhead counts too.
    #[must_use]
    pub fn micro_batches(&self) -> (usize, usize) {
        match self {
            Self::Embedded(..) => (1 << 20, 3),
            Self::Kafka(..) => (24 << 20, 2),
        }
    }

    /// Sets the size of the record buffer for polls of `batch_bytes`. For a poll to find records of
    /// few partitions, records of several must be buffered.
    pub fn set_buffer(&mut self, batch_bytes: usize) {
        if let Self::Kafka(options, _) = self {
            options.poll_bytes = batch_bytes.saturating_mul(READY_BATCHES);
        }
    }

    /// Opens the log for a command that only reads. Fails if there is none.
    pub async fn open_existing(&self, clock: Clock) -> anyhow::Result<Log> {
        match self {
            Self::Embedded(dir, options) => {
                open_embedded(dir, |dir| EmbeddedLog::open_existing(dir, *options, clock))
            }
            Self::Kafka(..) => self.open_topics(clock).await,
        }
    }

    /// Opens the log for a command that writes. Fails if there is none.
    pub async fn open_to_write(&self, clock: Clock) -> anyhow::Result<Log> {
        match self {
            Self::Embedded(dir, options) => {
                open_embedded(dir, |dir| EmbeddedLog::open_to_write(dir, *options, clock))
            }
            Self::Kafka(..) => self.open_topics(clock).await,
        }
    }

    /// Opens the topics for a command, which cannot wait for a missing one as a service does.
    async fn open_topics(&self, clock: Clock) -> anyhow::Result<Log> {
        let (log, begun) = (self.open(clock).await?, Instant::now());
        // The brokers may not know a topic yet that was just created.
        while let Err(error) = log.ready_to_consume() {
            if begun.elapsed() >= NEW_TOPIC {
                return Err(error.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(log)
    }

    /// Opens the log. `clock` sets the append time of records. A topic on Kafka may be missing.
    pub async fn open(&self, clock: Clock) -> anyhow::Result<Log> {
        match self {
            Self::Embedded(dir, options) => {
                open_embedded(dir, |dir| EmbeddedLog::open(dir, *options, clock))
            }
            Self::Kafka(options, _) => {
                let _waiting =
                    Progress::waiting(format!("waiting for Kafka at {}", options.brokers));
                Ok(Log::Kafka(KafkaLog::open(KafkaLogOptions::clone(options), clock).await?))
            }
        }
    }

    /// Creates the missing topics, and reports what was done and what is wrong.
    pub async fn setup(&self) -> anyhow::Result<SetupReport> {
        match self {
            Self::Embedded(..) => Ok(SetupReport {
                lines: vec!["the embedded log needs no setup".to_owned()],
                faults: 0,
            }),
            Self::Kafka(options, NewTopics { partitions, replication }) => {
                let _waiting =
                    Progress::waiting(format!("creating the topics at {}", options.brokers));
                Ok(setup(options, *partitions, *replication).await?)
            }
        }
    }
}

fn open_embedded(
    dir: &Path,
    open: impl FnOnce(&Path) -> Result<EmbeddedLog, LogOpenError>,
) -> anyhow::Result<Log> {
    let _waiting = Progress::waiting(format!("opening the log in {}", dir.display()));
    // As the operator has named it.
    let data_dir = dir.parent().unwrap_or(dir);
    let failed = || format!("the log in {} cannot be opened", data_dir.display());
    Ok(Log::Embedded(open(dir).with_context(failed)?))
}
