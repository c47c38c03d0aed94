//! Appending records and dead letters to their topics.

use futures_util::future::try_join_all;
use shared::{clock::Clock, skew::Interval, timestamp::Timestamp};

use self::{outgoing::Outgoing, producer::Appended};
use super::KafkaLog;
use crate::log::{DeadLetter, LATEST_TS_LIMIT, LogError, NewRecord, Record};

mod connect;
mod delivery;
pub(super) mod letters;
pub(super) mod outgoing;
mod presence;
mod probe;
pub(super) mod producer;
mod refusal;
mod times;

/// The number of dead letters in flight: few enough to leave room for the clients' appends.
const LETTERS_IN_FLIGHT: usize = 100;

impl KafkaLog {
    pub(in crate::log) async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let now = self.0.stamps.then(|| self.0.clock.now());
        let records = records.into_iter().map(|record| {
            let append_time = record.append_time.or(now);
            Outgoing { append_time, ..Outgoing::from(record) }
        });
        let outcome = self.0.producer.append(&self.0.options.topic, records).await;
        if matches!(outcome, Err(LogError::Refused { .. })) {
            self.0.checks.hasten();
        }
        outcome
    }

    /// Whether `latest_ts` would count in full in the header of a record that is appended now, by
    /// the last measurement of the brokers' clock.
    pub(in crate::log) fn check_latest_ts(&self, latest_ts: Timestamp) -> Result<(), LogError> {
        let append_time = match self.0.stamps {
            true => self.0.clock.now(),
            false => Clock::machine().now() + self.0.producer.skew().least().unwrap_or(0),
        };
        match latest_ts > append_time + LATEST_TS_LIMIT {
            true => Err(times::too_far_ahead()),
            false => Ok(()),
        }
    }

    /// Measures the brokers' clock by polled records: an append time later than now shows that it
    /// is ahead.
    pub(in crate::log) fn polled(&self, records: &[Record]) {
        let stamped = records.iter().filter(|record| !record.unstamped);
        let Some(newest) = stamped.max_by_key(|record| record.append_time) else { return };
        let ahead = newest.append_time - Clock::machine().now();
        if ahead > 0 {
            self.0.producer.skew().measured(newest.partition, Interval::at_least(ahead));
        }
    }

    pub(in crate::log) async fn dead_letter(
        &self,
        letters: Vec<DeadLetter>,
    ) -> Result<(), LogError> {
        for some in letters.chunks(LETTERS_IN_FLIGHT) {
            try_join_all(some.iter().map(|letter| self.append_whole_or_cut(letter))).await?;
        }
        Ok(())
    }

    /// Cuts a letter that is too large for the brokers, which would refuse it on every retry.
    async fn append_whole_or_cut(&self, letter: &DeadLetter) -> Result<(), LogError> {
        for cut in 0..=letters::CUT_COUNT {
            let letter = letters::outgoing(letter, &self.0.options.topic, cut);
            if let Appended::At(_) = self.append_letter(letter).await? {
                return Ok(());
            }
        }
        Err(LogError::Busy("the brokers refuse even a dead letter without a value".to_owned()))
    }

    pub(super) async fn append_letter(&self, letter: Outgoing) -> Result<Appended, LogError> {
        let appended = self.0.producer.append_one(&self.0.options.letters_topic(), letter).await?;
        if let Appended::At(ends) = &appended {
            self.0.letters.extend_present_to(ends);
        }
        Ok(appended)
    }
}
