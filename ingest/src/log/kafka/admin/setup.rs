//! Creates the topics of the log, and reports what is wrong with existing ones without changing
//! them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use shared::clock::Clock;

use super::super::{
    client,
    consume::reader::TopicSource,
    context::{Context, Health},
    failure::RequestError,
    findings::{
        checks::unreadable,
        finding::{Finding, Purpose, Severity},
        rules::{Needs, findings},
        settings::{SettingsReader, TopicSettings, Unknown},
    },
    offsets::REQUEST_TIMEOUT,
    options::KafkaLogOptions,
    thread::off_runtime,
};
use crate::log::LogOpenError;

/// The brokers' clock sets a record's append time, not its producer's.
const TIMESTAMPS: (&str, &str) = ("message.timestamp.type", "LogAppendTime");
/// With three replicas, two must have a record before it counts as durable.
const TWO_IN_SYNC: (&str, &str) = ("min.insync.replicas", "2");
/// The longest dead letter: the longest record that brokers accept by default, and its reason.
const LETTER_BYTES: (&str, &str) = ("max.message.bytes", "2097152");
/// Dead letters are kept until an operator has handled them.
const KEPT: (&str, &str) = ("retention.ms", "-1");
/// How long the brokers may take to report a topic that was just created.
const NEW_TOPIC: Duration = Duration::from_secs(3);
/// The pause between two reads of the settings of new topics.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// The result of a setup.
#[derive(Clone, Debug, Default)]
pub struct SetupReport {
    /// Sentences about each topic and each finding.
    pub lines: Vec<String>,
    /// The number of findings with which events are lost or refused. An operator must act.
    pub faults: usize,
}

/// Creates the missing topics of the log, and checks the settings of all of them.
///
/// # Errors
/// [`LogOpenError::Configuration`] if the options are invalid, [`LogOpenError::Unavailable`] if the
/// brokers refuse or cannot be reached.
pub async fn setup(
    options: &KafkaLogOptions,
    partitions: i32,
    replication: i32,
) -> Result<SetupReport, LogOpenError> {
    options.check()?;
    reach(options).await?;
    let context = Context::new("setup", Arc::default());
    let admin: AdminClient<_> = client::create(&client::producer(options), context)
        .map_err(|cause| LogOpenError::Configuration(format!("kafka: {cause}")))?;
    let letters = options.letters_topic();
    let mut report = SetupReport::default();
    for (name, partitions) in [(options.topic.as_str(), partitions), (letters.as_str(), 1)] {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
        topic = topic.set(TIMESTAMPS.0, TIMESTAMPS.1);
        if replication >= 3 {
            topic = topic.set(TWO_IN_SYNC.0, TWO_IN_SYNC.1);
        }
        if name == letters {
            topic = topic.set(LETTER_BYTES.0, LETTER_BYTES.1).set(KEPT.0, KEPT.1);
        }
        let limit = AdminOptions::new()
            .operation_timeout(Some(REQUEST_TIMEOUT))
            .request_timeout(Some(REQUEST_TIMEOUT));
        let created = admin.create_topics([&topic], &limit).await.map_err(refused)?;
        match created.into_iter().next() {
            Some(Ok(_)) => {
                report.lines.push(format!("created topic {name}, partitions: {partitions}"));
            }
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                report.lines.extend(existing(options, name, partitions).await?);
            }
            Some(Err((_, cause))) => return Err(refused(KafkaError::AdminOp(cause))),
            None => {
                return Err(LogOpenError::Unavailable(format!(
                    "kafka: the brokers sent no reply about topic {name}; run `bookend setup` again"
                )));
            }
        }
    }
    check_settings(options, &mut report).await?;
    Ok(report)
}

/// Adds the findings about the settings of both topics to `report`.
async fn check_settings(
    options: &KafkaLogOptions,
    report: &mut SetupReport,
) -> Result<(), LogOpenError> {
    let failed = |cause: RequestError| {
        LogOpenError::Unavailable(format!(
            "kafka: the settings of the topics could not be read: {cause}"
        ))
    };
    let reader = SettingsReader::new(options).map_err(|cause| failed(cause.into()))?;
    let needs = Needs::of(options).map_err(|cause| failed(cause.into()))?;
    let (letters_topic, begun) = (options.letters_topic(), Instant::now());
    let [events, letters] = loop {
        let read = reader.read([&options.topic, &letters_topic]).await.map_err(failed)?;
        let known = |topic: &Result<TopicSettings, Unknown>| match topic {
            Ok(settings) => settings.replicas.is_some(),
            Err(unknown) => *unknown != Unknown::Missing,
        };
        if read.iter().all(known) || begun.elapsed() > NEW_TOPIC {
            break read;
        }
        tokio::time::sleep(READ_PAUSE).await;
    };
    let mut found = findings(events.as_ref().ok(), letters.as_ref().ok(), &needs);
    for (purpose, topic) in [(Purpose::Events, events), (Purpose::DeadLetters, letters)] {
        if topic.is_err() {
            found.push((purpose, unreadable()));
        }
    }
    for (purpose, Finding { severity, text, .. }) in found {
        let topic = match purpose {
            Purpose::Events => &options.topic,
            Purpose::DeadLetters => &letters_topic,
        };
        let word = match severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error | Severity::Blocking => "error",
        };
        report.faults += usize::from(severity >= Severity::Error);
        report.lines.push(format!("{word}: topic {topic}: {text}"));
    }
    Ok(())
}

/// Checks that a broker can be reached: creating a topic would only report a timeout.
async fn reach(options: &KafkaLogOptions) -> Result<(), LogOpenError> {
    let config = client::reader(options, &options.group);
    let probe = off_runtime("kafka-setup", move || {
        let health = Arc::<Health>::default();
        let client: BaseConsumer<_> =
            client::create(&config, Context::new("setup", Arc::clone(&health)))?;
        let Err(timeout) = client.fetch_metadata(None, REQUEST_TIMEOUT) else { return Ok(None) };
        // The connection's own error is more precise; a poll delivers it.
        while health.cause().is_empty() && client.poll(Duration::from_millis(100)).is_some() {}
        let cause = health.cause();
        Ok(Some(if cause.is_empty() { timeout.to_string() } else { cause }))
    });
    match probe.await {
        Ok(None) => Ok(()),
        Ok(Some(cause)) => Err(LogOpenError::Unavailable(format!(
            "no Kafka broker can be reached at {}: {cause}; check --kafka-brokers and --kafka-security",
            options.brokers
        ))),
        Err(RequestError::Kafka(cause)) => {
            Err(LogOpenError::Configuration(format!("kafka: {cause}")))
        }
        Err(lost) => Err(LogOpenError::Unavailable(format!("kafka: {lost}"))),
    }
}

/// Describes an existing topic.
async fn existing(
    options: &KafkaLogOptions,
    name: &str,
    partitions: i32,
) -> Result<Vec<String>, LogOpenError> {
    let source = TopicSource::new(options, name, &options.group, Clock::machine());
    let count = off_runtime("kafka-setup", move || source.partitions())
        .await
        .map_err(|cause| LogOpenError::Unavailable(format!("kafka: topic {name}: {cause}")))?
        .len();
    let mut report = vec![format!("topic {name} exists, partitions: {count}")];
    if i32::try_from(count) != Ok(partitions) {
        report.push(format!(
            "warning: topic {name} should have {partitions} partitions; it was not changed"
        ));
    }
    Ok(report)
}

fn refused(cause: KafkaError) -> LogOpenError {
    LogOpenError::Unavailable(format!("kafka: the topics could not be set up: {cause}"))
}
