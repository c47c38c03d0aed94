//! The rules: what each setting of a topic must be, and what another value causes.

use shared::timestamp::{HOUR, MINUTE, SECOND};

use super::{
    finding::{Finding, Kind, Purpose, Severity},
    settings::TopicSettings,
};

/// The shortest retention without a finding, in milliseconds.
const SHORTEST_RETENTION: i64 = HOUR;
/// How far the clocks of a producer and a broker may differ, in milliseconds.
const CLOCK_TOLERANCE: i64 = 5 * MINUTE;

/// What the topics must take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The largest record of a valid event in a batch of its own.
    pub(crate) event: i64,
    /// The largest dead letter without the record's key, value and headers.
    pub(crate) letter: i64,
    /// The largest batch of records that the producer sends.
    pub(crate) batch: i64,
}

/// A topic, its settings, and what it must take.
struct Topic<'a> {
    purpose: Purpose,
    settings: &'a TopicSettings,
    needs: &'a Needs,
}

/// Returns the findings about both topics. A topic whose settings are not known has none.
pub(crate) fn findings(
    events: Option<&TopicSettings>,
    letters: Option<&TopicSettings>,
    needs: &Needs,
) -> Vec<(Purpose, Finding)> {
    let mut all = Vec::new();
    for (purpose, settings) in [(Purpose::Events, events), (Purpose::DeadLetters, letters)] {
        let Some(settings) = settings else { continue };
        let topic = Topic { purpose, settings, needs };
        let found =
            [topic.size(), topic.compaction(), topic.retention(), topic.time(), topic.in_sync()];
        let found = found.into_iter().chain([topic.time_range(), topic.election()]).flatten();
        all.extend(found.map(|found| (purpose, found)));
    }
    let limits = [events, letters].map(|topic| topic?.number("max.message.bytes"));
    if let [Some(record), Some(letter)] = limits
        && let longest = record + needs.letter
        && letter < longest
        && all
            .iter()
            .all(|(of, found)| (*of, found.kind) != (Purpose::DeadLetters, Kind::RecordLimit))
    {
        let text = format!(
            "max.message.bytes={letter}: a dead letter of a large record is cut and cannot be redriven; set \
             max.message.bytes={longest} or more"
        );
        let found = Finding { kind: Kind::LetterLimit, severity: Severity::Warning, text };
        all.push((Purpose::DeadLetters, found));
    }
    all
}

impl Topic<'_> {
    fn size(&self) -> Option<Finding> {
        let limit = self.settings.number("max.message.bytes")?;
        let Needs { event, letter, batch } = *self.needs;
        let (least, refused) = match self.purpose {
            Purpose::Events => (event, "the brokers refuse events with long ids"),
            Purpose::DeadLetters => {
                (letter, "the brokers refuse dead letters, and the consumer stops at the first one")
            }
        };
        if limit < least {
            let remedy = format!("set max.message.bytes={batch} or more");
            return Some(self.found(
                Kind::RecordLimit,
                Severity::Blocking,
                "max.message.bytes",
                refused,
                &remedy,
            ));
        }
        if limit >= batch {
            return None;
        }
        let refused = match self.purpose {
            Purpose::Events => "the brokers refuse batches of records that each would fit",
            Purpose::DeadLetters => "dead letters that are sent together may be cut without need",
        };
        let remedy = format!(
            "set max.message.bytes={batch} or more, or start every process with --kafka-property batch.size={limit}"
        );
        Some(self.found(Kind::BatchLimit, Severity::Warning, "max.message.bytes", refused, &remedy))
    }

    fn compaction(&self) -> Option<Finding> {
        let policy = self.settings.text("cleanup.policy")?;
        if !policy.split(',').any(|one| one.trim() == "compact") {
            return None;
        }
        let effect = match self.purpose {
            Purpose::Events => {
                "records of one user replace each other, and events that are not consumed yet or are replayed are lost"
            }
            Purpose::DeadLetters => {
                "dead letters of one user replace each other, and events that await a redrive are lost"
            }
        };
        let remedy = "set cleanup.policy=delete";
        Some(self.found(Kind::Compaction, Severity::Error, "cleanup.policy", effect, remedy))
    }

    fn retention(&self) -> Option<Finding> {
        let policy = self.settings.text("cleanup.policy").unwrap_or("delete");
        let retention = self.settings.number("retention.ms")?;
        if !policy.contains("delete") || !(0..SHORTEST_RETENTION).contains(&retention) {
            return None;
        }
        let effect = match self.purpose {
            Purpose::Events => "events are lost when the consumers stop for longer than that",
            Purpose::DeadLetters => "dead letters are lost before an operator can redrive them",
        };
        let remedy = format!("set retention.ms={SHORTEST_RETENTION} or more, or -1");
        Some(self.found(Kind::ShortRetention, Severity::Warning, "retention.ms", effect, &remedy))
    }

    fn time(&self) -> Option<Finding> {
        if self.purpose == Purpose::DeadLetters || !self.producers_set_time() {
            return None;
        }
        Some(self.found(
            Kind::CreateTime,
            Severity::Warning,
            "message.timestamp.type",
            "the time of a record is not proved, so the consumer's clock judges its age",
            "set message.timestamp.type=LogAppendTime",
        ))
    }

    /// The brokers check the time of a record only where its producer sets it.
    fn time_range(&self) -> Option<Finding> {
        if !self.producers_set_time() {
            return None;
        }
        let ranges = [
            "message.timestamp.before.max.ms",
            "message.timestamp.after.max.ms",
            // Brokers before 4.0.
            "message.timestamp.difference.max.ms",
        ];
        let narrow =
            |name: &&str| self.settings.number(name).is_some_and(|range| range < CLOCK_TOLERANCE);
        let setting = ranges.into_iter().find(narrow)?;
        let range = self.settings.number(setting).unwrap_or_default() / SECOND;
        let effect = format!(
            "the brokers refuse records of a host whose clock differs by more than {range} s"
        );
        let remedy = format!(
            "set message.timestamp.type=LogAppendTime, or {setting}={CLOCK_TOLERANCE} or more"
        );
        Some(self.found(Kind::TimestampRange, Severity::Warning, setting, &effect, &remedy))
    }

    fn in_sync(&self) -> Option<Finding> {
        let setting = "min.insync.replicas";
        let least = self.settings.number(setting)?;
        let replicas = self.settings.replicas?;
        if least > replicas {
            let effect = format!(
                "the brokers refuse every record, because there are only {replicas} replicas"
            );
            let remedy = format!("set {setting}={} or add replicas", (replicas / 2 + 1).min(2));
            return Some(self.found(
                Kind::TooManyInSync,
                Severity::Blocking,
                setting,
                &effect,
                &remedy,
            ));
        }
        if replicas < 3 || least >= 2 {
            return None;
        }
        Some(self.found(
            Kind::OneInSync,
            Severity::Warning,
            setting,
            "an acknowledged record may be on one broker only, and is lost with it",
            "set min.insync.replicas=2",
        ))
    }

    fn election(&self) -> Option<Finding> {
        let setting = "unclean.leader.election.enable";
        if self.settings.text(setting) != Some("true") || self.settings.replicas == Some(1) {
            return None;
        }
        Some(self.found(
            Kind::UncleanElection,
            Severity::Warning,
            setting,
            "a broker that lacks acknowledged records may become leader, and they are lost",
            "set unclean.leader.election.enable=false",
        ))
    }

    fn producers_set_time(&self) -> bool {
        self.settings.text("message.timestamp.type") == Some("CreateTime")
    }

    fn found(
        &self,
        kind: Kind,
        severity: Severity,
        setting: &str,
        effect: &str,
        remedy: &str,
    ) -> Finding {
        let value = self.settings.text(setting).unwrap_or_default();
        Finding { kind, severity, text: format!("{setting}={value}: {effect}; {remedy}") }
    }
}

#[cfg(test)]
mod tests;
