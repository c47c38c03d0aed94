//! What the log on Kafka is told: where the cluster is, who we are to it, and what may be used. Checks what cannot be.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use shared::config::Secret;
use thiserror::Error;

use super::client;

/// Where the log lies, who we are there, and what it may use.
#[derive(Clone)]
pub struct KafkaLogOptions {
    /// The brokers to begin with: `host:port,…`.
    pub brokers: String,
    /// The topic of the records; the dead letters lie in the topic of this name with `.dlq` behind it.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// A name that this member of the group keeps over restarts, so that a short one moves no partition; none for a new
    /// one each time. No two running processes may have the same.
    pub member: Option<String>,
    /// By which protocol the partitions of the group are dealt out.
    pub group_protocol: GroupProtocol,
    /// Whether the connection is encrypted, and whether we log in.
    pub security: Security,
    /// How we log in.
    pub mechanism: Mechanism,
    /// Who logs in.
    pub username: Option<String>,
    /// With which password.
    pub password: Option<Secret>,
    /// The certificates by which a broker is believed, in PEM; the machine's own without it.
    pub ca_file: Option<PathBuf>,
    /// Anything else that librdkafka knows. These have the last word.
    pub properties: Vec<(String, String)>,
    /// How many bytes may wait to become durable; what does not fit is refused at once.
    pub append_bytes: usize,
    /// How many bytes may wait to be polled, beside the driver's own share, which is small.
    pub poll_bytes: usize,
    /// How long a record may take to become durable; after that it is given up for good.
    pub delivery_timeout: Duration,
    /// How long whoever appends waits at most; longer than the delivery may take, so that it learns the outcome.
    pub append_deadline: Duration,
    /// How long a member may be silent before its partitions go to others. The brokers' business with
    /// [`GroupProtocol::Consumer`].
    pub session_timeout: Duration,
    /// How long a partition that goes to another member waits for what was polled of it.
    pub revoke_timeout: Duration,
    /// After how long without progress, with records left, the consumer is made anew.
    pub stall_limit: Duration,
    /// How often the ends of the partitions are looked at.
    pub look_interval: Duration,
}

/// What cannot be, and the setting that says it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("kafka: {setting}: {cause}")]
pub struct Mistake {
    /// The name of the setting.
    pub setting: &'static str,
    /// Why it cannot be. Shows no value of a property, which may be a password.
    pub cause: String,
}

/// Whether a connection is encrypted, and whether we log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted.
    Tls,
    /// With a login that anyone on the way can read.
    SaslPlaintext,
    /// Encrypted, with a login.
    SaslTls,
}

/// How we log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// The password as it is.
    #[default]
    Plain,
    /// A proof of the password, by SHA-256.
    ScramSha256,
    /// A proof of the password, by SHA-512.
    ScramSha512,
}

/// By which protocol the partitions of the group are dealt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// By the members, as every broker knows it.
    #[default]
    Classic,
    /// By the brokers, from Kafka 4.0 on.
    Consumer,
}

impl Default for KafkaLogOptions {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
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
            look_interval: Duration::from_secs(1),
        }
    }
}

impl KafkaLogOptions {
    /// The topic of the dead letters.
    #[must_use]
    pub fn letters_topic(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// The group by whose offsets is known which dead letters were redriven.
    pub(super) fn redrive_group(&self) -> String {
        format!("{}.redrive", self.group)
    }

    /// The first mistake in them that can be seen without asking a broker.
    ///
    /// # Errors
    /// The [`Mistake`].
    pub fn check(&self) -> Result<(), Mistake> {
        let mistake = |setting, cause| Err(Mistake { setting, cause });
        let named = [
            ("kafka-brokers", &self.brokers),
            ("kafka-topic", &self.topic),
            ("kafka-group", &self.group),
        ];
        if let Some((setting, _)) = named.iter().find(|(_, value)| value.trim().is_empty()) {
            return mistake(setting, "it cannot be empty".to_owned());
        }
        let known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if !self.topic.chars().all(known) || self.letters_topic().len() > 249 {
            let cause = "the name of a topic has at most 245 letters, digits, '.', '_' and '-'";
            return mistake("kafka-topic", cause.to_owned());
        }
        let scram = self.security.logs_in() && self.mechanism != Mechanism::Plain;
        if (self.security.is_encrypted() || scram) && !cfg!(feature = "kafka-tls") {
            let cause = "this program was built without TLS and SCRAM: build it with the cargo feature kafka-tls";
            return mistake("kafka-security", cause.to_owned());
        }
        if self.security.logs_in() && (self.username.is_none() || self.password.is_none()) {
            let cause = "to log in, both a user name and a password are needed";
            return mistake("kafka-security", cause.to_owned());
        }
        if let Some(file) = &self.ca_file
            && let Err(error) = std::fs::File::open(file)
        {
            return mistake("kafka-ca-file", format!("the certificates cannot be read: {error}"));
        }
        client::check(self)
    }
}

impl Security {
    pub(super) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    pub(super) const fn logs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

impl FromStr for Security {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "plaintext" => Ok(Self::Plaintext),
            "tls" => Ok(Self::Tls),
            "sasl-plaintext" => Ok(Self::SaslPlaintext),
            "sasl-tls" => Ok(Self::SaslTls),
            _ => Err("write plaintext, tls, sasl-plaintext or sasl-tls"),
        }
    }
}

impl FromStr for Mechanism {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_uppercase().as_str() {
            "PLAIN" => Ok(Self::Plain),
            "SCRAM-SHA-256" => Ok(Self::ScramSha256),
            "SCRAM-SHA-512" => Ok(Self::ScramSha512),
            _ => Err("write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        }
    }
}

impl FromStr for GroupProtocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "classic" => Ok(Self::Classic),
            "consumer" => Ok(Self::Consumer),
            _ => Err("write classic or consumer"),
        }
    }
}

/// Of the properties only the names: a value may be a password.
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
