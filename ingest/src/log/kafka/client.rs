//! The librdkafka properties of each client. They are set nowhere else.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaResult,
};

use super::{
    context::Context,
    options::{GroupProtocol, KafkaLogOptions, Mechanism, Security},
};

/// The driver's limit on the size of a record. The brokers' own limit is lower and decides.
const RECORD_BYTES: &str = "16000000";

/// The driver looks for the system's certificates. An OpenSSL that was built with it looks only
/// where it was built to be installed.
const SYSTEM_CA: &str = "probe";

/// No client creates a topic, even if the brokers allow it. An operator cannot override this.
pub(super) const AUTO_CREATE: &str = "allow.auto.create.topics";

/// Properties set here, and their second names. An operator's property replaces both, because the
/// driver might apply either of two values.
const ALIASES: [(&str, &str); 6] = [
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// The properties of the client that appends.
pub(super) fn producer(options: &KafkaLogOptions) -> ClientConfig {
    let mut config = common(options);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        // The caller waits. Records that arrive while a request is in flight share the next one.
        .set("linger.ms", "0")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", RECORD_BYTES)
        .set("message.timeout.ms", options.delivery_timeout.as_millis().to_string())
        // Our own bound applies first: the driver's count differs, so its bound is twice as large.
        .set("queue.buffering.max.kbytes", (2 * options.append_bytes / 1024).max(1024).to_string())
        .set("queue.buffering.max.messages", "1000000");
    with_properties(config, options)
}

/// The properties of the producer of a redrive. A transaction that a killed process has left open
/// delays the consumers until the timeout.
pub(super) fn transactional(options: &KafkaLogOptions) -> ClientConfig {
    let mut config = producer(options);
    let timeout = options.delivery_timeout + Duration::from_secs(5);
    config
        .set("transactional.id", options.redrive_group())
        .set("transaction.timeout.ms", timeout.as_millis().to_string());
    let delivery_timeout = options.delivery_timeout.as_millis().to_string();
    replace(&mut config, "message.timeout.ms", &delivery_timeout);
    replace(&mut config, "linger.ms", "5");
    config
}

/// The properties of a member of the consumer group.
pub(super) fn member(options: &KafkaLogOptions) -> ClientConfig {
    let mut config = reading(options, &options.group);
    match options.group_protocol {
        GroupProtocol::Classic => config.set("partition.assignment.strategy", "cooperative-sticky"),
        GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
    };
    if let Some(member) = &options.member {
        config.set("group.instance.id", member);
    }
    with_properties(config, options)
}

/// The properties of a reader outside any group, which fetches and commits offsets of `group`.
pub(super) fn reader(options: &KafkaLogOptions, group: &str) -> ClientConfig {
    let mut config = reading(options, group);
    // A reader goes to a known end, which the brokers report after this time. Its next request
    // waits for that.
    config.set("fetch.wait.max.ms", "20");
    let mut config = with_properties(config, options);
    // The driver demands a group, but the member's name belongs to the real member.
    config.remove("group.instance.id");
    config
}

/// The properties of a client that also sees the records of transactions that are still open.
pub(super) fn uncommitted_reader(options: &KafkaLogOptions, group: &str) -> ClientConfig {
    let mut config = reader(options, group);
    config.set("isolation.level", "read_uncommitted");
    config
}

fn reading(options: &KafkaLogOptions, group: &str) -> ClientConfig {
    let mut config = common(options);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.max.bytes", RECORD_BYTES)
        .set("message.max.bytes", "1000000")
        // Fetched records are buffered by us, sorted by partition.
        .set("queued.max.messages.kbytes", "2048")
        // While its queue is full, the driver checks it after this time instead of a second.
        .set("fetch.queue.backoff.ms", "20");
    if options.group_protocol == GroupProtocol::Classic {
        config.set("session.timeout.ms", options.session_timeout.as_millis().to_string());
    }
    config
}

fn common(options: &KafkaLogOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", "bookend")
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set(AUTO_CREATE, "false")
        // A topic is what `setup` creates. The driver takes a missing one for missing at once,
        // instead of waiting for it, and uses it as soon as it exists.
        .set("topic.metadata.propagation.max.ms", "0")
        .set(
            "security.protocol",
            match options.security {
                Security::Plaintext => "plaintext",
                Security::Tls => "ssl",
                Security::SaslPlaintext => "sasl_plaintext",
                Security::SaslTls => "sasl_ssl",
            },
        )
        .set_log_level(RDKafkaLogLevel::Info);
    if options.security.authenticates() {
        config.set(
            "sasl.mechanism",
            match options.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            },
        );
        config.set("sasl.username", options.username.clone().unwrap_or_default());
        config.set("sasl.password", options.password.as_ref().map_or("", |secret| secret.reveal()));
    }
    if options.security.is_encrypted() {
        let file = options.ca_file.as_ref().map(|file| file.display().to_string());
        config.set("ssl.ca.location", file.unwrap_or_else(|| SYSTEM_CA.to_owned()));
    }
    config
}

fn with_properties(mut config: ClientConfig, options: &KafkaLogOptions) -> ClientConfig {
    for (name, value) in &options.properties {
        replace(&mut config, name, value);
        if name == "debug" {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
    }
    config
}

/// Sets a property in place of its earlier value under either name.
fn replace(config: &mut ClientConfig, name: &str, value: &str) {
    for (one, other) in ALIASES {
        if name == one || name == other {
            config.remove(one).remove(other);
        }
    }
    config.set(name, value);
}

/// Creates a client of this kind. Nothing is sent yet.
pub(super) fn create<C: FromClientConfigAndContext<Context>>(
    config: &ClientConfig,
    context: Context,
) -> KafkaResult<C> {
    C::from_config_and_context(config, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_has_one_delivery_timeout_whatever_an_operator_calls_it() {
        for name in ["message.timeout.ms", "delivery.timeout.ms"] {
            let properties = vec![
                (name.to_owned(), "11000".to_owned()),
                ("queue.buffering.max.ms".to_owned(), "7".to_owned()),
            ];
            let options = KafkaLogOptions { properties, ..KafkaLogOptions::default() };
            assert_eq!(producer(&options).get(name), Some("11000"));
            let config = transactional(&options);
            let names = ["message.timeout.ms", "delivery.timeout.ms"].map(|name| config.get(name));
            assert_eq!(names, [Some("10000"), None]);
            let names = ["linger.ms", "queue.buffering.max.ms"].map(|name| config.get(name));
            assert_eq!(names, [Some("5"), None]);
        }
    }

    #[test]
    fn brokers_are_verified_against_the_given_certificates_or_those_of_the_system() {
        let verified_by = |security, file: Option<&str>| {
            let ca_file = file.map(Into::into);
            let options = KafkaLogOptions { security, ca_file, ..KafkaLogOptions::default() };
            producer(&options).get("ssl.ca.location").map(str::to_owned)
        };
        let given = Some("ca.pem");
        assert_eq!(verified_by(Security::Tls, given).as_deref(), given);
        assert_eq!(verified_by(Security::SaslTls, None).as_deref(), Some("probe"));
        assert_eq!(verified_by(Security::Plaintext, None), None);
    }
}
