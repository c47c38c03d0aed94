//! Whether the topics exist, as the brokers last reported. Producers never create a topic, so an
//! append to a missing one is refused until an operator creates it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::log::LogError;

/// The topics that are missing.
#[derive(Default)]
pub(crate) struct Presence(Mutex<BTreeSet<String>>);

impl Presence {
    /// Records a report of the brokers about `topic`, and logs a change.
    pub(crate) fn set(&self, topic: &str, exists: bool) {
        let mut missing = self.0.lock();
        if exists {
            if missing.remove(topic) {
                tracing::info!(topic, "the topic exists again");
            }
        } else if missing.insert(topic.to_owned()) {
            tracing::error!(
                topic,
                "the topic does not exist; appends to it are refused until `bookend setup` creates it"
            );
        }
    }

    /// Fails while `topic` is missing.
    pub(crate) fn check(&self, topic: &str) -> Result<(), LogError> {
        match self.0.lock().contains(topic) {
            true => Err(missing(topic)),
            false => Ok(()),
        }
    }
}

/// The error of a request to a topic that does not exist.
pub(crate) fn missing(topic: &str) -> LogError {
    LogError::Busy(format!("topic {topic} does not exist; run `bookend setup` to create it"))
}
