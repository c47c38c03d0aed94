//! The options of a log on Kafka: where the cluster is, how to authenticate, and limits.

use std::{fmt, path::PathBuf, time::Duration};

use shared::{config::Secret, words};
use thiserror::Error;

/// Where the cluster is, how to authenticate, and how much memory and time the log may use.
#[derive(Clone)]
pub struct KafkaLogOptions {
    /// The bootstrap brokers: `host:port,…`.
    pub brokers: String,
    /// The topic of the records. Dead letters go to `<topic>.dlq`.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The static name of this group member, so that a short restart moves no partition. Two
    /// running processes must not share one.
    pub member: Option<String>,
    /// The protocol that assigns the partitions of the group.
    pub group_protocol: GroupProtocol,
    /// Whether connections are encrypted and authenticated.
    pub security: Security,
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// The SASL user name.
    pub username: Option<String>,
    /// The SASL password.
    pub password: Option<Secret>,
    /// The CA certificates that brokers are verified against, in PEM; the machine's own by default.
    pub ca_file: Option<PathBuf>,
    /// Other librdkafka properties. They override every other option.
    pub properties: Vec<(String, String)>,
    /// The limit on the bytes of appends in flight. Appends beyond it are refused at once.
    pub append_bytes: usize,
    /// The limit on the bytes of fetched records before a poll; the driver buffers little more.
    pub poll_bytes: usize,
    /// How long a record may take to become durable. Afterwards it is never sent again.
    pub delivery_timeout: Duration,
    /// How long a caller waits for an append: longer than a delivery, to know its outcome.
    pub append_deadline: Duration,
    /// How long a member may be silent before its partitions move ([`GroupProtocol::Classic`]).
    pub session_timeout: Duration,
    /// How long a revoked partition waits for the commit of its polled records.
    pub revoke_timeout: Duration,
    /// How long a consumer with a backlog may make no progress before it is replaced.
    pub stall_limit: Duration,
    /// The time between two queries of the topic's offsets.
    pub offsets_interval: Duration,
    /// The time between two checks of the topics' settings.
    pub settings_interval: Duration,
}

/// An invalid setting.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("kafka: {setting}: {cause}")]
pub struct Mistake {
    /// The name of the setting.
    pub setting: &'static str,
    /// Why it is invalid. Never the value of a property, which may be a password.
    pub cause: String,
}

/// Whether connections are encrypted and authenticated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted.
    Tls,
    /// Authenticated, not encrypted.
    SaslPlaintext,
    /// Encrypted and authenticated.
    SaslTls,
}

/// The SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself is sent.
    #[default]
    Plain,
    /// Proves knowledge of the password with SHA-256.
    ScramSha256,
    /// Proves knowledge of the password with SHA-512.
    ScramSha512,
}

/// The protocol that assigns the partitions of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members assign them; every broker supports it.
    #[default]
    Classic,
    /// The brokers assign them; needs Kafka 4.0.
    Consumer,
}

impl Default for KafkaLogOptions {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic: "session-events".to_owned(),
            group: "bookend".to_owned(),
            member: None,
            group_protocol: GroupProtocol::default(),
            security: Security::default(),
            mechanism: Mechanism::default(),
            username: None,
            password: None,
            ca_file: None,
            properties: Vec::new(),
            append_bytes: 64 << 20,
            poll_bytes: 48 << 20,
            delivery_timeout: Duration::from_secs(10),
            append_deadline: Duration::from_secs(12),
            session_timeout: Duration::from_secs(30),
            revoke_timeout: Duration::from_secs(10),
            stall_limit: Duration::from_secs(60),
            offsets_interval: Duration::from_secs(1),
            settings_interval: Duration::from_secs(60),
        }
    }
}

impl KafkaLogOptions {
    /// The topic of the dead letters.
    #[must_use]
    pub fn letters_topic(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// The group whose committed offset separates redriven dead letters from the others.
    pub(super) fn redrive_group(&self) -> String {
        format!("{}.redrive", self.group)
    }
}

impl Security {
    pub(super) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    pub(super) const fn authenticates(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

words!(Security: "plaintext" => Plaintext, "tls" => Tls, "sasl-plaintext" => SaslPlaintext,
    "sasl-tls" => SaslTls);
words!(Mechanism: "PLAIN" => Plain, "SCRAM-SHA-256" => ScramSha256,
    "SCRAM-SHA-512" => ScramSha512);
words!(GroupProtocol: "classic" => Classic, "consumer" => Consumer);

/// Shows only the names of properties: a value may be a password.
impl fmt::Debug for KafkaLogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, topic, group, security, username, password, .. } = self;
        let properties: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("KafkaLogOptions")
            .field("brokers", brokers)
            .field("topic", topic)
            .field("group", group)
            .field("security", security)
            .field("username", username)
            .field("password", password)
            .field("properties", &properties)
            .finish_non_exhaustive()
    }
}
