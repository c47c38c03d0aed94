//! The metrics of the log on Kafka: what the brokers allow.

use prometheus::{Counter, IntGaugeVec, Opts, Registry, Result};

use super::findings::finding::{Kind, Purpose};

/// The metrics of the log on Kafka. Clones share them.
#[derive(Clone)]
pub(in crate::log) struct KafkaMetrics {
    findings: IntGaugeVec,
    /// Number of seconds for which the brokers throttled the producer.
    pub(super) throttled_seconds: Counter,
}

impl KafkaMetrics {
    pub(in crate::log) fn new() -> Result<Self> {
        let findings = IntGaugeVec::new(
            Opts::new(
                "bookend_kafka_topic_findings",
                "Number of topic settings that endanger events, by topic and finding",
            ),
            &["topic", "finding"],
        )?;
        let throttled_seconds = Counter::new(
            "bookend_kafka_throttled_seconds_total",
            "Number of seconds for which the brokers throttled the producer because of a quota",
        )?;
        let metrics = Self { findings, throttled_seconds };
        for purpose in Purpose::ALL {
            for kind in Kind::ALL {
                metrics.find(purpose, kind, false);
            }
        }
        Ok(metrics)
    }

    pub(in crate::log) fn register(&self, registry: &Registry) -> Result<()> {
        registry.register(Box::new(self.findings.clone()))?;
        registry.register(Box::new(self.throttled_seconds.clone()))
    }

    /// Shows whether a topic has a finding.
    pub(super) fn find(&self, purpose: Purpose, kind: Kind, found: bool) {
        self.findings.with_label_values(&[purpose.as_str(), kind.as_str()]).set(i64::from(found));
    }
}
