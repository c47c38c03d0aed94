//! Which log, and how it is reached: the settings of every program that has one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use shared::{
    clock::Clock,
    config::{Bytes, DurationValue, Setting, Settings},
    progress::Progress,
};

use super::{
    EmbeddedLog, KafkaLog, Log,
    embedded::EmbeddedLogOptions,
    kafka::{KafkaLogOptions, Mistake, setup},
};

/// How many polls of Kafka's records are kept ready: half of that room is for all partitions, the rest for the next one.
const READY_BATCHES: usize = 2;

/// A log that is not open yet.
#[derive(Clone, Debug)]
pub enum LogConfig {
    /// In this process, in a directory.
    Embedded(PathBuf, EmbeddedLogOptions),
    /// A topic of Kafka.
    Kafka(Box<KafkaLogOptions>, NewTopics),
}

/// How topics are made that do not exist yet.
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
        setting("log-segment", "BYTES", "64MiB", "The size of the files of the embedded log"),
        setting("log-retention-time", "TIME", "7d", "How long the embedded log keeps what was consumed"),
        setting("log-retention-size", "BYTES", "16GiB", "How much the embedded log keeps of what was consumed"),
    ]
}

/// The settings of the log on Kafka.
#[must_use]
#[rustfmt::skip]
pub fn kafka_settings() -> Vec<Setting> {
    let settings = [
        Setting::new("kafka-brokers", "HOST:PORT,…", "127.0.0.1:9092", "The brokers to begin with"),
        Setting::new("kafka-topic", "NAME", "session-events", "The topic of the events; what can be none goes to the topic with .dlq behind its name"),
        Setting::new("kafka-group", "NAME", "bookend", "The consumer group"),
        Setting::new("kafka-member", "NAME", "", "A name that this member of the group keeps over restarts, so that a short one moves no partition"),
        Setting::new("kafka-group-protocol", "NAME", "classic", "Who deals out the partitions: classic (the members) or consumer (the brokers, from Kafka 4.0 on)"),
        Setting::new("kafka-security", "PROTOCOL", "plaintext", "plaintext, tls, sasl-plaintext or sasl-tls"),
        Setting::new("kafka-mechanism", "NAME", "PLAIN", "How to log in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        Setting::new("kafka-username", "NAME", "", "Who logs in"),
        Setting::secret("kafka-password", "With which password"),
        Setting::new("kafka-ca-file", "FILE", "", "The certificates by which a broker is believed, in PEM; the machine's own otherwise"),
        Setting::new("kafka-session-timeout", "TIME", "30s", "How long a member of the group may be silent before its partitions go to others; with the protocol consumer the brokers say it"),
        Setting::new("kafka-delivery-timeout", "TIME", "10s", "How long an event may take to become durable; then it is given up, and the batch answered 503"),
        Setting::new("kafka-append-deadline", "TIME", "12s", "How long a batch waits for that at most; longer than the delivery"),
        Setting::new("kafka-replication", "N", "3", "On how many brokers `bookend setup` makes the topics keep every record"),
        Setting::list("kafka-property", "KEY=VALUE", "Anything else that librdkafka knows, with the last word (repeatable)").redacted(),
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
            given.mistake("log-partitions", "an embedded log has 1 to 64 partitions");
        }
        Self::Embedded(data_dir.join("log"), options)
    }

    /// Reads the settings of the log on Kafka.
    pub fn kafka(given: &mut Settings) -> Self {
        let defaults = KafkaLogOptions::default();
        // In place of what cannot be read stands what cannot be wrong: each mistake is told once.
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
            given.mistake("kafka-property", "write KEY=VALUE");
        }
        if let Err(Mistake { setting, cause }) = options.check() {
            given.mistake(setting, &cause);
        }
        let topics = NewTopics {
            partitions: given.get("log-partitions"),
            replication: given.get("kafka-replication"),
        };
        if topics.partitions < 1 {
            given.mistake("log-partitions", "a topic has at least one partition");
        }
        if topics.replication < 1 {
            given.mistake("kafka-replication", "at least one broker has to keep a record");
        }
        Self::Kafka(Box::new(options), topics)
    }

    /// How long whoever appends has to wait to learn what became of it; `None` where that takes no limit of its own.
    #[must_use]
    pub fn append_deadline(&self) -> Option<Duration> {
        match self {
            Self::Embedded(..) => None,
            Self::Kafka(options, _) => Some(options.append_deadline),
        }
    }

    /// How many bytes of records are best handled together, and how many such micro-batches are best under way at once. Of
    /// Kafka's records many: Cassandra works least for each when those of a user come together, and their own overhead counts
    /// too.
    #[must_use]
    pub fn micro_batches(&self) -> (usize, usize) {
        match self {
            Self::Embedded(..) => (1 << 20, 3),
            Self::Kafka(..) => (24 << 20, 2),
        }
    }

    /// Keeps enough records ready for polls of `batch_bytes`: for each to be of few partitions, those of several have to wait.
    pub fn keep_ready(&mut self, batch_bytes: usize) {
        if let Self::Kafka(options, _) = self {
            options.poll_bytes = batch_bytes.saturating_mul(READY_BATCHES);
        }
    }

    /// Opens the log; `clock` stamps what is appended.
    ///
    /// # Errors
    /// Says which log cannot be opened, and why.
    pub async fn open(&self, clock: Clock) -> anyhow::Result<Log> {
        let _waiting = match self {
            Self::Embedded(dir, _) => {
                Progress::waiting(format!("opening the log in {}", dir.display()))
            }
            Self::Kafka(options, _) => {
                Progress::waiting(format!("waiting for Kafka at {}", options.brokers))
            }
        };
        match self {
            Self::Embedded(dir, options) => {
                let log = EmbeddedLog::open(dir, *options, clock);
                Ok(Log::Embedded(log.with_context(|| format!("{}", dir.display()))?))
            }
            Self::Kafka(options, _) => {
                Ok(Log::Kafka(KafkaLog::open(KafkaLogOptions::clone(options), clock).await?))
            }
        }
    }

    /// Makes the topics that are missing; says in sentences what was done.
    ///
    /// # Errors
    /// When the brokers cannot be reached or refuse.
    pub async fn setup(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Embedded(..) => Ok(vec!["the embedded log needs no setup".to_owned()]),
            Self::Kafka(options, NewTopics { partitions, replication }) => {
                let _waiting =
                    Progress::waiting(format!("making the topics at {}", options.brokers));
                Ok(setup(options, *partitions, *replication).await?)
            }
        }
    }
}
