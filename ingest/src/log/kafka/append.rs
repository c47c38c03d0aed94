//! Appending records and dead letters to their topics.

use futures_util::future::try_join_all;

use self::{outgoing::Outgoing, producer::Appended};
use super::KafkaLog;
use crate::log::{DeadLetter, LogError, NewRecord};

mod delivery;
pub(super) mod letters;
pub(super) mod outgoing;
mod presence;
mod probe;
pub(super) mod producer;
mod refusal;

/// The number of dead letters in flight: few enough to leave room for the clients' appends.
const LETTERS_IN_FLIGHT: usize = 100;

impl KafkaLog {
    pub(in crate::log) async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let now = self.0.stamps.then(|| self.0.clock.now());
        let records = records.into_iter().map(|record| {
            let NewRecord { key, value, headers, append_time, latest_ts } = record;
            let append_time = append_time.or(now);
            Outgoing { key, value: Some(value), headers, append_time, latest_ts }
        });
        let outcome = self.0.producer.append(&self.0.options.topic, records).await;
        if matches!(outcome, Err(LogError::Refused { .. })) {
            self.0.checks.hasten();
        }
        outcome
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
