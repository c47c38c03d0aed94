//! Checks the topic settings at the start of a process and every minute after it.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::error::KafkaResult;
use shared::event::SessionEvent;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    super::{client, metrics::KafkaMetrics, options::KafkaLogOptions},
    finding::{Finding, Kind, Purpose, Severity},
    rules::{Needs, findings},
    settings::{SettingsReader, TopicSettings, Unknown},
};

/// The time until the next check after one that failed or found that nothing can be appended.
const SOON: Duration = Duration::from_secs(5);
/// The shortest time between two checks.
const PAUSE: Duration = Duration::from_secs(1);
/// The bytes of a batch with one record, beside the record's key, value and headers.
const BATCH_OVERHEAD: usize = 61 + 40;
/// The bytes of the headers of an event: its append time and the latest time that was accepted.
const EVENT_HEADERS: usize = 128;
/// The longest key of an event: the id of its user.
const LONGEST_KEY: usize = 128;
/// The bytes of a dead letter beside the record: our headers, with the longest name of a topic.
const LETTER_BYTES: i64 = 1024;

/// The findings of the last check.
pub(crate) struct Checks {
    options: KafkaLogOptions,
    needs: Needs,
    metrics: KafkaMetrics,
    found: Mutex<BTreeMap<(Purpose, Kind), Finding>>,
    due: Arc<Notify>,
    task: OnceLock<AbortHandle>,
}

impl Needs {
    /// What the topics must take from a producer with `options`.
    pub(crate) fn of(options: &KafkaLogOptions) -> KafkaResult<Self> {
        let event = BATCH_OVERHEAD + LONGEST_KEY + SessionEvent::LONGEST_JSON + EVENT_HEADERS;
        let event = i64::try_from(event).unwrap_or(i64::MAX);
        let batch = client::producer(options).create_native_config()?.get("batch.size")?;
        let batch = batch.parse().unwrap_or(0);
        Ok(Self { event, letter: LETTER_BYTES, batch })
    }
}

impl Checks {
    pub(crate) fn new(options: &KafkaLogOptions, metrics: KafkaMetrics) -> KafkaResult<Arc<Self>> {
        let (needs, options) = (Needs::of(options)?, options.clone());
        let (found, due, task) = (Mutex::default(), Arc::default(), OnceLock::new());
        Ok(Arc::new(Self { options, needs, metrics, found, due, task }))
    }

    /// Starts to check, unless it did already. The checks end with the last reference.
    pub(crate) fn start(self: &Arc<Self>) {
        self.task.get_or_init(|| {
            let checks = Arc::downgrade(self);
            let (due, interval) = (Arc::clone(&self.due), self.options.settings_interval);
            tokio::spawn(Self::run(checks, due, interval)).abort_handle()
        });
    }

    /// Checks again soon, because the brokers have refused a record.
    pub(crate) fn hasten(&self) {
        self.due.notify_one();
    }

    async fn run(checks: Weak<Self>, due: Arc<Notify>, interval: Duration) {
        let mut reader = None;
        while let Some(these) = checks.upgrade() {
            let in_order = these.check(&mut reader).await;
            drop(these);
            tokio::time::sleep(interval.min(PAUSE)).await;
            let wait = if in_order { interval } else { interval.min(SOON) };
            // The outcome does not matter: the time has passed, or a check is due earlier.
            drop(tokio::time::timeout(wait.saturating_sub(PAUSE), due.notified()).await);
        }
    }

    /// The text of a finding with which nothing can be appended to a topic.
    pub(crate) fn blocking(&self, purpose: Purpose) -> Option<String> {
        let found = self.found.lock();
        let blocking = |((of, _), finding): &(&(Purpose, Kind), &Finding)| {
            *of == purpose && finding.severity == Severity::Blocking
        };
        let (_, finding) = found.iter().find(blocking)?;
        Some(format!("topic {}: {}", self.topic(purpose), finding.text))
    }

    /// Reads and judges the settings once; returns whether the next check may wait.
    async fn check(&self, reader: &mut Option<SettingsReader>) -> bool {
        let read = match reader {
            Some(reader) => Ok(&*reader),
            None => SettingsReader::new(&self.options).map(|new| &*reader.insert(new)),
        };
        let letters_topic = self.options.letters_topic();
        let read = match read {
            Ok(reader) => {
                let topics = [self.options.topic.as_str(), letters_topic.as_str()];
                reader.read(topics).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok([events, letters]) => self.judge(events, letters),
            Err(error) => {
                tracing::debug!(error, "the settings of the topics could not be read");
                false
            }
        }
    }

    /// Judges the settings; returns whether the next check may wait.
    fn judge(
        &self,
        events: Result<TopicSettings, Unknown>,
        letters: Result<TopicSettings, Unknown>,
    ) -> bool {
        // A right that is missing is not granted within seconds.
        let may_wait = |topic: &Result<_, _>| matches!(topic, Ok(_) | Err(Unknown::Forbidden));
        let may_wait = may_wait(&events) && may_wait(&letters);
        let mut found: BTreeMap<_, _> =
            findings(events.as_ref().ok(), letters.as_ref().ok(), &self.needs)
                .into_iter()
                .map(|(purpose, finding)| ((purpose, finding.kind), finding))
                .collect();
        let mut before = self.found.lock();
        let mut missing = Vec::new();
        for (purpose, topic) in [(Purpose::Events, events), (Purpose::DeadLetters, letters)] {
            // Earlier findings still count, unless the settings are known or the topic is gone.
            let kept = before.iter().filter(|((of, _), _)| *of == purpose);
            let kept = kept.map(|(key, finding)| (*key, finding.clone()));
            match topic {
                Err(Unknown::Forbidden) => {
                    found.extend(kept);
                    found.insert((purpose, Kind::Unreadable), unreadable());
                }
                Err(Unknown::Failed(error)) => {
                    tracing::debug!(%error, "the settings of a topic could not be read");
                    found.extend(kept);
                }
                Err(Unknown::Missing) => missing.push(purpose),
                Ok(_) => {}
            }
        }
        self.show(&before, &found, &missing);
        *before = found;
        drop(before);
        may_wait && Purpose::ALL.iter().all(|purpose| self.blocking(*purpose).is_none())
    }

    /// Logs what changed, and updates the metric. The findings of a missing topic are not
    /// corrected.
    fn show(
        &self,
        before: &BTreeMap<(Purpose, Kind), Finding>,
        found: &BTreeMap<(Purpose, Kind), Finding>,
        missing: &[Purpose],
    ) {
        for (key @ (purpose, kind), finding) in found {
            self.metrics.find(*purpose, *kind, true);
            if before.get(key) == Some(finding) {
                continue;
            }
            let (topic, text) = (self.topic(*purpose), &finding.text);
            let finding_name = kind.as_str();
            match finding.severity {
                Severity::Note => tracing::info!(finding = finding_name, "topic {topic}: {text}"),
                Severity::Warning => {
                    tracing::warn!(finding = finding_name, "topic {topic}: {text}");
                }
                Severity::Error | Severity::Blocking => {
                    tracing::error!(finding = finding_name, "topic {topic}: {text}");
                }
            }
        }
        for (purpose, kind) in before.keys().filter(|key| !found.contains_key(key)) {
            self.metrics.find(*purpose, *kind, false);
            if missing.contains(purpose) {
                continue;
            }
            let (topic, finding) = (self.topic(*purpose), kind.as_str());
            match kind {
                Kind::Unreadable => {
                    tracing::info!(finding, "topic {topic}: the settings can be read")
                }
                _ => tracing::info!(finding, "topic {topic}: the setting was corrected"),
            }
        }
    }

    fn topic(&self, purpose: Purpose) -> String {
        match purpose {
            Purpose::Events => self.options.topic.clone(),
            Purpose::DeadLetters => self.options.letters_topic(),
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// The finding about a topic whose settings the user may not read.
pub(crate) fn unreadable() -> Finding {
    let text =
        "the settings are not checked, because the user may not read them; allow it the operation \
                DescribeConfigs on the topic"
            .to_owned();
    Finding { kind: Kind::Unreadable, severity: Severity::Note, text }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[tokio::test]
    async fn settings_that_cannot_be_read_are_a_finding_that_stops_nothing() {
        let (options, metrics) = (KafkaLogOptions::default(), KafkaMetrics::new().unwrap());
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        let checks = Checks::new(&options, metrics).unwrap();
        let shown = |kind: &str| {
            let series = format!(r#"_findings{{finding="{kind}",topic="events"}} 1"#);
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            text.contains(&series)
        };
        let small = [("max.message.bytes".to_owned(), "300".to_owned())].into();
        let small = || Ok(TopicSettings { values: Clone::clone(&small), replicas: None });
        assert!(!checks.judge(small(), small()));
        assert!(shown("record_limit") && checks.blocking(Purpose::Events).is_some());
        // An error of the brokers changes nothing.
        let failed = || Err(Unknown::Failed(rdkafka::types::RDKafkaErrorCode::RequestTimedOut));
        assert!(!checks.judge(failed(), failed()));
        assert!(shown("record_limit") && checks.blocking(Purpose::DeadLetters).is_some());
        // Without the right to read them, the settings are what they were.
        checks.judge(Err(Unknown::Forbidden), Err(Unknown::Missing));
        assert!(shown("unreadable") && shown("record_limit"));
        assert!(checks.blocking(Purpose::Events).is_some());
        assert_eq!(checks.blocking(Purpose::DeadLetters), None);
        assert!(!checks.judge(Ok(TopicSettings::default()), Err(Unknown::Missing)));
        assert!(!shown("unreadable") && !shown("record_limit"));
        assert_eq!(checks.blocking(Purpose::Events), None);
        assert!(checks.judge(Err(Unknown::Forbidden), Err(Unknown::Forbidden)));
    }
}
