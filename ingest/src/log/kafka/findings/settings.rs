//! Reads the settings of topics from the brokers.

use std::{collections::BTreeMap, sync::Arc};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use super::super::{
    client,
    context::Context,
    failure::RequestError,
    offsets::REQUEST_TIMEOUT,
    options::KafkaLogOptions,
    thread::{DroppedAside, off_runtime},
};

/// The settings of one topic by name, and the number of its replicas.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicSettings {
    pub(crate) values: BTreeMap<String, String>,
    /// The fewest replicas of any partition.
    pub(crate) replicas: Option<i64>,
}

/// Why the settings of a topic are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The topic does not exist.
    Missing,
    /// The user may not describe the topic's settings.
    Forbidden,
    /// Another error of the brokers.
    Failed(RDKafkaErrorCode),
}

/// A client that reads settings.
pub(crate) struct SettingsReader(Arc<DroppedAside<AdminClient<Context>>>);

impl TopicSettings {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        // A broker may print the largest unsigned number for "no limit".
        self.text(name)?.parse::<i128>().ok().map(|value| i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl SettingsReader {
    /// A reader, which connects in the background.
    pub(crate) fn new(options: &KafkaLogOptions) -> KafkaResult<Self> {
        let config = client::producer(options);
        let admin = client::create(&config, Context::new("settings", Arc::default()))?;
        Ok(Self(Arc::new(DroppedAside::new(admin))))
    }

    /// Reads the settings of `topics`.
    ///
    /// # Errors
    /// [`RequestError`] when the brokers do not reply.
    pub(crate) async fn read<const N: usize>(
        &self,
        topics: [&str; N],
    ) -> Result<[Result<TopicSettings, Unknown>; N], RequestError> {
        let Some(admin) = self.0.get() else { return Err(KafkaError::Canceled.into()) };
        let limit = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let resources = topics.map(ResourceSpecifier::Topic);
        let mut described = admin.describe_configs(&resources, &limit).await?.into_iter();
        let mut read = topics.map(|_| Err(Unknown::Missing));
        // The driver returns the results in the order of the request.
        for (topic, settings) in topics.into_iter().zip(&mut read) {
            *settings = match described.next() {
                Some(Ok(resource)) => self.with_replicas(topic, resource).await,
                Some(Err(code)) => Err(unknown(code)),
                None => return Err(KafkaError::Canceled.into()),
            };
        }
        Ok(read)
    }

    async fn with_replicas(
        &self,
        topic: &str,
        resource: ConfigResource,
    ) -> Result<TopicSettings, Unknown> {
        let values = resource.entries.into_iter();
        let values = values.filter_map(|entry| Some((entry.name, entry.value?))).collect();
        let (admin, name) = (Arc::clone(&self.0), topic.to_owned());
        let replicas = off_runtime("kafka-settings", move || {
            let Some(admin) = admin.get() else { return Ok(None) };
            let metadata = admin.inner().fetch_metadata(Some(&name), REQUEST_TIMEOUT)?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let replicas = topic.into_iter().flat_map(|topic| topic.partitions());
            Ok(replicas.map(|partition| partition.replicas().len()).min())
        });
        // Without the number, only the rules about replicas find nothing.
        let replicas = replicas.await.ok().flatten().and_then(|count| i64::try_from(count).ok());
        Ok(TopicSettings { values, replicas })
    }
}

fn unknown(code: RDKafkaErrorCode) -> Unknown {
    match code {
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition => {
            Unknown::Missing
        }
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed => Unknown::Forbidden,
        code => Unknown::Failed(code),
    }
}
