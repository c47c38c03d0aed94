//! Makes the topics of the log, and tells where those that exist are not as they should be. Changes nothing that exists.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

use super::{
    client,
    context::{Context, Health},
    look,
    options::{KafkaLogOptions, Mistake},
    producer::busy,
    reader::Reading,
    thread::off_runtime,
};
use crate::log::{LogError, OpenError};

/// What both topics are made with: the brokers' clock says when a record was appended, not its producer's.
const TIMESTAMPS: (&str, &str) = ("message.timestamp.type", "LogAppendTime");
/// With three copies two must have a record before it counts as durable.
const TWO_IN_SYNC: (&str, &str) = ("min.insync.replicas", "2");
/// The longest dead letter: the longest record that brokers take by default, and its reason.
const LETTER_BYTES: (&str, &str) = ("max.message.bytes", "2097152");
/// Dead letters stay until somebody has looked at them.
const KEPT: (&str, &str) = ("retention.ms", "-1");
/// What a topic is to have.
const WANTED: [(&str, &str, &str); 2] = [
    (
        TIMESTAMPS.0,
        TIMESTAMPS.1,
        "producers may set the time by which their events are judged, towards the past",
    ),
    ("cleanup.policy", "delete", "records of a user replace each other, so that events are lost"),
];

/// Makes what is missing of the topics of the log; answers a sentence about each of them, and about what is not as it should be.
///
/// # Errors
/// [`OpenError::Configuration`] when the options cannot be, [`OpenError::Unavailable`] when the brokers refuse or cannot be reached.
pub async fn setup(
    options: &KafkaLogOptions,
    partitions: i32,
    replication: i32,
) -> Result<Vec<String>, OpenError> {
    options.check()?;
    reach(options).await?;
    let context = Context::new("setup", Arc::default());
    let admin: AdminClient<_> = client::made(&client::producer(options), context)
        .map_err(|cause| OpenError::Configuration(format!("kafka: {cause}")))?;
    let letters = options.letters_topic();
    let mut told = Vec::new();
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
            .operation_timeout(Some(look::LIMIT))
            .request_timeout(Some(look::LIMIT));
        let made = admin.create_topics([&topic], &limit).await.map_err(refused)?;
        match made.into_iter().next() {
            Some(Ok(_)) => told.push(format!("made the topic {name}, partitions: {partitions}")),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                let resource = [ResourceSpecifier::Topic(name)];
                let found = admin.describe_configs(&resource, &limit).await.map_err(refused)?;
                let found = found.into_iter().next().and_then(Result::ok);
                told.extend(existing(options, name, partitions, found.as_ref()).await?);
            }
            Some(Err((_, cause))) => return Err(refused(KafkaError::AdminOp(cause))),
            None => {
                return Err(OpenError::Unavailable("kafka: the brokers did not answer".to_owned()));
            }
        }
    }
    Ok(told)
}

/// Whether the brokers can be asked anything at all, and if not, why: the client that makes topics would only say that no answer
/// came in time.
async fn reach(options: &KafkaLogOptions) -> Result<(), OpenError> {
    let config = client::reader(options, &options.group);
    let asked = off_runtime("kafka-setup", move || {
        let health = Arc::<Health>::default();
        let client: BaseConsumer<_> =
            client::made(&config, Context::new("setup", Arc::clone(&health)))?;
        let outcome = client.fetch_metadata(None, look::LIMIT);
        // What the connection has told waits to be heard; while it goes on trying it tells it again and again.
        while outcome.is_err()
            && health.cause().is_empty()
            && client.poll(Duration::from_millis(100)).is_some()
        {}
        Ok::<_, KafkaError>(outcome.map(drop).map_err(|cause| match health.cause() {
            told if told.is_empty() => cause.to_string(),
            told => told,
        }))
    });
    let outcome =
        asked.await?.map_err(|cause| OpenError::Configuration(format!("kafka: {cause}")))?;
    outcome.map_err(|cause| {
        OpenError::Unavailable(format!("kafka: no broker can be reached: {cause}"))
    })
}

/// What is to be said of a topic that exists.
async fn existing(
    options: &KafkaLogOptions,
    name: &str,
    partitions: i32,
    found: Option<&ConfigResource>,
) -> Result<Vec<String>, OpenError> {
    let reading = Reading::new(options, name, &options.group);
    let count = off_runtime("kafka-setup", move || reading.partitions()).await;
    let count = count.and_then(|count| count.map_err(|cause| busy(&cause)))?.len();
    let mut told = vec![format!("the topic {name} exists, partitions: {count}")];
    if i32::try_from(count) != Ok(partitions) {
        told.push(format!("mind: {name} was to have {partitions} partitions and is left as it is"));
    }
    for (setting, wanted, otherwise) in WANTED {
        let value = found.and_then(|found| found.get(setting)?.value.as_deref());
        if let Some(value) = value.filter(|value| *value != wanted) {
            told.push(format!(
                "mind: {name} has {setting}={value} in place of {wanted}: {otherwise}"
            ));
        }
    }
    Ok(told)
}

fn refused(cause: KafkaError) -> OpenError {
    OpenError::Unavailable(format!("kafka: {cause}"))
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Mistake> for OpenError {
    fn from(mistake: Mistake) -> Self {
        Self::Configuration(mistake.to_string())
    }
}
