//! The result of `bookend load`.

use std::{collections::BTreeMap, fmt, time::Duration};

use indicatif::HumanCount;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::reply::BatchReport;

/// The events by result. `sent` is the sum of `accepted`, `discarded`, `rejected` and
/// `undelivered`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events that were read.
    pub sent: u64,
    /// Events that the service accepted, including repeated ones.
    pub accepted: u64,
    /// Events that the service discarded because they are older than its retention.
    pub discarded: u64,
    /// Events that the service rejected, by code. `too_long` are events too long for a request.
    pub rejected: BTreeMap<String, u64>,
    /// Events without a final reply. They may have arrived; sending them again is harmless.
    pub undelivered: u64,
    /// Retried requests.
    pub retries: u64,
    /// The time from the first line to the last reply; in JSON in seconds, beside the rate.
    pub elapsed: Duration,
    /// The first reason why the load failed.
    pub failure: Option<String>,
    /// Whether a signal ended the load. The events that were not read yet are not counted.
    pub is_interrupted: bool,
}

impl Summary {
    /// Returns this summary, or its failure as an error.
    pub fn into_result(self) -> anyhow::Result<Self> {
        match self.failure {
            Some(failure) => Err(anyhow::anyhow!(failure)),
            None => Ok(self),
        }
    }

    /// Events with a final reply per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.settled() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn settled(&self) -> u64 {
        self.sent - self.undelivered
    }

    /// Adds the outcome of a batch.
    pub(super) fn add(&mut self, report: &BatchReport) {
        self.sent += report.accepted + report.refused.len() as u64;
        self.accepted += report.accepted;
        for event in &report.refused {
            if event.is_discarded {
                self.discarded += 1;
            } else if let Some(count) = self.rejected.get_mut(&event.code) {
                *count += 1;
            } else {
                self.rejected.insert(event.code.clone(), 1);
            }
        }
    }

    pub(super) fn undelivered(&mut self, events: usize) {
        self.sent += events as u64;
        self.undelivered += events as u64;
    }

    /// Records why the load failed; only the first reason is kept.
    pub(super) fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    /// Fails a load of which nothing was accepted. `rejected` is the first rejected event.
    pub(super) fn fail_if_nothing_was_accepted(&mut self, rejected: Option<&str>) {
        if self.accepted > 0 || self.failure.is_some() {
            return;
        }
        let why = match rejected {
            Some(rejected) => format!("the first rejected event is {rejected}"),
            None if self.discarded > 0 => {
                "all events are older than one year; to load old data, start the service with \
                 --as-of"
                    .to_owned()
            }
            None => "the input has no events".to_owned(),
        };
        self.fail(format!("no event was accepted: {why}"));
    }

    /// A line about the load so far. `share` is the part of the input that was read, in per cent.
    pub(super) fn progress(&self, share: Option<u64>) -> String {
        let number = |count| HumanCount(count).to_string();
        let share = share.map(|share| format!(" ({share} % of the input)")).unwrap_or_default();
        format!(
            "loading: {} events sent{share}, {} accepted, {} discarded, {} rejected",
            number(self.sent),
            number(self.accepted),
            number(self.discarded),
            number(self.rejected.values().sum())
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rate) = (self.elapsed.as_secs_f64(), HumanCount(self.rate() as u64));
        write!(
            f,
            "{:<19} {:>13}  in {seconds:.1} s, {rate} events/s",
            "sent",
            HumanCount(self.sent).to_string()
        )?;
        let mut line = |name: &str, count: u64| {
            write!(f, "\n{name:<19} {:>13}", HumanCount(count).to_string())
        };
        line("accepted", self.accepted)?;
        line("discarded (expired)", self.discarded)?;
        line("rejected", self.rejected.values().sum())?;
        for (code, &count) in &self.rejected {
            line(&format!("  {code}"), count)?;
        }
        if self.undelivered > 0 {
            line("undelivered", self.undelivered)?;
        }
        line("retried requests", self.retries)?;
        Ok(())
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Summary", 9)?;
        fields.serialize_field("sent", &self.sent)?;
        fields.serialize_field("accepted", &self.accepted)?;
        fields.serialize_field("discarded", &self.discarded)?;
        fields.serialize_field("rejected", &self.rejected)?;
        fields.serialize_field("undelivered", &self.undelivered)?;
        fields.serialize_field("retries", &self.retries)?;
        fields.serialize_field("elapsed_seconds", &self.elapsed.as_secs_f64())?;
        fields.serialize_field("events_per_second", &(self.rate() as u64))?;
        fields.serialize_field("failure", &self.failure)?;
        fields.end()
    }
}
