//! Redrives dead letters. Wanted letters are appended to the log as they were. The others are
//! appended to the dead letters again, after those not read yet, so that one committed offset
//! separates the redriven letters from the others.
//!
//! Each step is a transaction. A redrive that is killed leaves nothing half done, and of two at
//! once the brokers let one commit. So the letters before the committed offset are handled, and the
//! records that they name are not appended again when a replay has written other letters of them.

use super::{
    super::{
        KafkaLog,
        append::{letters, outgoing::Outgoing},
        consume::{handled::Handled, reader::Reader},
        thread::{DroppedAside, off_runtime},
    },
    transaction::{self, Step, Transactions},
};
use crate::log::{DeadLetterCode, LogError, Record, Redriven, redrive::Sieve};

/// The bytes of dead letters that one step reads.
const STEP_BYTES: usize = 1 << 20;

/// What a redrive reads and writes with. Its calls and its drop block.
struct Session {
    reader: Reader,
    transactions: Transactions,
    /// Up to where letters were handled before, and since where by redrives like this one.
    before: Handled,
}

impl KafkaLog {
    /// Appends again the dead letters whose code is `wanted`, those of each record once.
    pub(in crate::log) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        let (source, options) = (self.letters_source(), self.0.options.clone());
        let opened = off_runtime("kafka-redrive", move || {
            // First of all, so that no other redrive can commit after the offsets are fetched.
            let transactions = Transactions::open(&options)?;
            let (reader, before) = source.read_from_handled()?;
            Ok(DroppedAside::new(Session { reader, transactions, before }))
        });
        let mut session = opened.await?;
        let (mut done, mut sieve) = (Redriven::default(), Sieve::default());
        let mut has_committed = false;
        loop {
            let read = off_runtime("kafka-redrive", move || {
                let records = match session.get_mut() {
                    Some(session) => session.reader.read(STEP_BYTES)?,
                    None => Vec::new(),
                };
                Ok((records, session))
            });
            let (records, at_step) = read.await?;
            session = at_step;
            if records.is_empty() {
                // The brokers forget an offset some time after its last commit.
                if !has_committed {
                    drop(self.commit(session, Step::default()).await?);
                }
                return Ok(done);
            }
            let Some(Session { before, .. }) = session.get() else { return Ok(done) };
            let (earlier, due): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|letter| before.has(letter));
            earlier
                .iter()
                .filter_map(letters::whole_origin)
                .for_each(|origin| sieve.add_earlier(&origin));
            if due.is_empty() {
                continue;
            }
            let (step, counts) = sort(due, &mut sieve, &wanted);
            (session, has_committed) = (self.commit(session, step).await?, true);
            done.looked_at += counts.looked_at;
            done.appended += counts.appended;
            done.repeated += counts.repeated;
            progress(done);
        }
    }

    async fn commit(
        &self,
        session: DroppedAside<Session>,
        mut step: Step,
    ) -> Result<DroppedAside<Session>, LogError> {
        let kept = step.kept.len();
        let stamps = self.0.stamps.then(|| self.0.clock.now());
        for record in &mut step.back {
            record.append_time = record.append_time.or(stamps);
        }
        let topic = session.get().map(|session| session.reader.topic()).unwrap_or_default();
        let committing = off_runtime("kafka-redrive", move || {
            let Some(Session { reader, transactions, before }) = session.get() else {
                return Ok((Ok(step.offsets), session));
            };
            step.offsets = before.and_read_to(reader.position());
            step.metadata = before.metadata();
            let outcome = transactions.commit(&step, &reader.group_metadata()?);
            let outcome =
                outcome.map(|()| step.offsets).map_err(|error| transaction::explained(&error));
            Ok((outcome, session))
        });
        let (outcome, session) = committing.await?;
        let mut offsets = outcome?;
        self.0.letters.committed(topic, &offsets);
        // The letters that were kept are counted in the first partition, wherever they are.
        if let Some((partition, offset)) = offsets.iter_mut().next() {
            *offset = self.0.letters.get().get(partition).map_or(*offset, |at| at.end);
            *offset += i64::try_from(kept).unwrap_or(0);
        }
        self.0.letters.extend_to(topic, &offsets);
        Ok(session)
    }
}

/// Sorts letters into those to append to the log, those to keep, and further letters of records
/// that were handled, which are dropped.
fn sort(
    letters: Vec<Record>,
    sieve: &mut Sieve,
    wanted: &impl Fn(DeadLetterCode) -> bool,
) -> (Step, Redriven) {
    let (mut step, mut counts) = (Step::default(), Redriven::default());
    for letter in letters {
        counts.looked_at += 1;
        let origin = letters::whole_origin(&letter);
        if origin.is_some_and(|origin| !sieve.is_due(&origin, letters::was_kept(&letter))) {
            counts.repeated += 1;
            continue;
        }
        // Records of other programs and letters that were cut hold no event: they are kept.
        let original = letters::code(&letter)
            .filter(|code| wanted(*code))
            .and_then(|_| letters::original(&letter));
        match original {
            Some(record) => {
                counts.appended += 1;
                step.back.push(Outgoing::from(record));
            }
            None => step.kept.push(letters::kept(letter)),
        }
    }
    (step, counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DeadLetter;

    #[test]
    fn a_cut_letter_is_kept_and_a_whole_one_of_its_record_is_appended_once() {
        let record = Record { value: Some("x".into()), ..Record::default() };
        let letter = DeadLetter { code: DeadLetterCode::Panicked, record };
        let read = |cut| {
            let Outgoing { value, headers, .. } = letters::outgoing(&letter, "events", cut);
            Record { value, headers, ..Record::default() }
        };
        let mut sieve = Sieve::default();
        let (step, counts) = sort(vec![read(3), read(0), read(0)], &mut sieve, &|_| true);
        assert_eq!((step.kept.len(), step.back.len(), counts.repeated), (1, 1, 1));
    }
}
