//! What each of our clients asks of librdkafka: the one place where its properties stand.

use rdkafka::{
    ClientConfig,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
};

use super::{
    context::Context,
    options::{GroupProtocol, KafkaLogOptions, Mechanism, Mistake, Security},
};

/// The driver's own limit on one record. The brokers have theirs, which is the one that counts.
const RECORD_BYTES: &str = "16000000";

/// What we set and what it is also called: of two names for one thing the driver would take either.
const ALIASES: [(&str, &str); 6] = [
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// A client that appends.
pub(super) fn producer(options: &KafkaLogOptions) -> ClientConfig {
    let mut config = common(options);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        // Whoever appends waits for it. What comes while requests are under way goes together in the next.
        .set("linger.ms", "0")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", RECORD_BYTES)
        .set("message.timeout.ms", options.delivery_timeout.as_millis().to_string())
        // Our own bound is the one that is met: the driver counts differently, so it gets twice as much.
        .set("queue.buffering.max.kbytes", (2 * options.append_bytes / 1024).max(1024).to_string())
        .set("queue.buffering.max.messages", "1000000");
    with_properties(config, options)
}

/// A client that is a member of the group.
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

/// A client that looks and reads by itself; the offsets that it sees and commits are those of `group`, which it never joins.
pub(super) fn reader(options: &KafkaLogOptions, group: &str) -> ClientConfig {
    let mut config = with_properties(reading(options, group), options);
    // The driver asks for a group of whoever reads; a name in it that others may have is of no use here.
    config.remove("group.instance.id");
    config
}

/// A client that looks at everything that lies in a topic, also behind a transaction that is still open.
pub(super) fn onlooker(options: &KafkaLogOptions, group: &str) -> ClientConfig {
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
        .set("allow.auto.create.topics", "false")
        .set("fetch.max.bytes", RECORD_BYTES)
        .set("message.max.bytes", "1000000")
        // What waits waits with us, sorted by partition.
        .set("queued.max.messages.kbytes", "2048")
        // While its queue is full it looks again after this long, not after a second.
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
    if options.security.logs_in() {
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
    if options.security.is_encrypted()
        && let Some(file) = &options.ca_file
    {
        config.set("ssl.ca.location", file.display().to_string());
    }
    config
}

fn with_properties(mut config: ClientConfig, options: &KafkaLogOptions) -> ClientConfig {
    for (name, value) in &options.properties {
        for (one, other) in ALIASES {
            if name == one || name == other {
                config.remove(one).remove(other);
            }
        }
        config.set(name, value);
        if name == "debug" {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
    }
    config
}

/// A client of this kind, made from `config`. Nothing is sent yet.
pub(super) fn made<C: FromClientConfigAndContext<Context>>(
    config: &ClientConfig,
    context: Context,
) -> Result<C, KafkaError> {
    C::from_config_and_context(config, context)
}

/// Whether librdkafka takes the properties, and whether they leave an append the time to learn what became of it.
pub(super) fn check(options: &KafkaLogOptions) -> Result<(), Mistake> {
    let refused =
        |error: KafkaError| Mistake { setting: setting(options, &error), cause: cause(error) };
    member(options).create_native_config().map_err(refused)?;
    let producer = producer(options).create_native_config().map_err(refused)?;
    let delivery: u128 = producer.get("message.timeout.ms").map_err(refused)?.parse().unwrap_or(0);
    let deadline = options.append_deadline.as_millis();
    if delivery == 0 || delivery >= deadline {
        let cause = format!(
            "message.timeout.ms is {delivery}: it must be above 0 and below the {deadline} ms that a request waits, else a \
             batch that was refused may still be appended"
        );
        return Err(Mistake { setting: "kafka-delivery-timeout", cause });
    }
    Ok(())
}

/// Which of our settings says the property that the driver refuses.
fn setting(options: &KafkaLogOptions, error: &KafkaError) -> &'static str {
    match error {
        KafkaError::ClientConfig(_, _, name, _)
            if options.properties.iter().all(|(given, _)| given != name) =>
        {
            match name.as_str() {
                "session.timeout.ms" => "kafka-session-timeout",
                "message.timeout.ms" => "kafka-delivery-timeout",
                "group.instance.id" => "kafka-member",
                "ssl.ca.location" => "kafka-ca-file",
                _ => "kafka-brokers",
            }
        }
        _ => "kafka-property",
    }
}

/// Which property is wrong and why, without its value, which may be a password.
fn cause(error: KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, cause, name, _) => format!("{name}: {cause}"),
        other => other.to_string(),
    }
}
