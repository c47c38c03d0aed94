//! Redrives dead letters of the embedded log, those of each record once.

use shared::event::RejectionCode;

use super::{EmbeddedLog, journal::Journal, letters, state::EmbeddedCursor};
use crate::log::{
    DeadLetter, DeadLetterCode, LogError, NewRecord, Position, Record, Redriven,
    redrive::{NewestLetters, Origin, Sieve},
};

mod step;

/// The bytes of dead letters that one step reads.
const STEP_BYTES: usize = 1 << 20;

impl EmbeddedLog {
    pub(in crate::log) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        let letters = &self.0.letters;
        // A redrive that failed may have polled letters without committing them.
        letters.rewind().await;
        let Position { committed: mut next, end } = letters.position(0);
        let mut interrupted = self.interrupted(next).await?;
        let mut sieve = self.sieve(letters.once_since(), next).await?;
        let mut done = Redriven::default();
        while next < end {
            let from = next;
            let polled = letters.poll(STEP_BYTES).await?;
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            // Letters from `end` on were added since, perhaps by this redrive.
            for (offset, entry) in polled.into_iter().filter(|(offset, _)| *offset < end) {
                next = offset + 1;
                let letter = letters::read(&entry).ok_or_else(|| undecodable(offset))?;
                done.looked_at += 1;
                let is_open = interrupted.has(offset);
                if is_open && interrupted.has_kept(&letter.origin) {
                    // Its copy is among the letters that follow. Others of its record repeat it.
                    sieve.add_earlier(&letter.origin);
                } else if !sieve.is_due(&letter.origin, letter.was_kept) {
                    done.repeated += 1;
                } else if is_open && interrupted.take_back(&letter.letter) {
                    done.appended += 1;
                } else if wanted(letter.letter.code) {
                    done.appended += 1;
                    back.push(original(letter.letter));
                } else {
                    kept.push(letters::kept(entry).ok_or_else(|| undecodable(offset))?);
                }
            }
            self.begin_step(from, next, &interrupted).await?;
            if !back.is_empty() {
                self.append(back).await?;
            }
            // Unwanted letters are appended again after those not read yet, so that one committed
            // offset separates the redriven letters from the others.
            if !kept.is_empty() {
                letters.append(kept).await?;
            }
            letters.commit([(0, next)].into()).await?;
            progress(done);
        }
        Ok(done)
    }

    /// Reads the letters of the last two segments.
    pub(in crate::log) async fn newest_letters(&self) -> Result<NewestLetters, LogError> {
        let mut cursor = self.0.letters.cursor_near_the_end(1)?;
        let mut newest = NewestLetters::default();
        loop {
            let read = self.0.letters.read(&mut cursor, STEP_BYTES).await?;
            if read.is_empty() {
                return Ok(newest);
            }
            for letter in read.iter().filter_map(|(_, entry)| letters::read(entry)) {
                newest.add(letter.origin);
            }
        }
    }

    pub(in crate::log) fn origin(&self, letter: &DeadLetter) -> Origin {
        let Record { partition, offset, .. } = letter.record;
        Origin { log: self.id().to_string(), partition, offset, append_time: None }
    }

    /// The records of the letters in `since..committed`.
    async fn sieve(&self, since: i64, committed: i64) -> Result<Sieve, LogError> {
        let (mut sieve, mut cursor) = (Sieve::default(), EmbeddedCursor::default());
        if since >= committed {
            return Ok(sieve);
        }
        loop {
            let read = self.0.letters.read(&mut cursor, STEP_BYTES).await?;
            let is_last = read.last().is_none_or(|(offset, _)| *offset >= committed);
            let handled = read.iter().filter(|(at, _)| (since..committed).contains(at));
            for letter in handled.filter_map(|(_, entry)| letters::read(entry)) {
                sieve.add_earlier(&letter.origin);
            }
            if is_last {
                return Ok(sieve);
            }
        }
    }
}

impl Journal {
    /// The letter from which on redrives like this one handled those of each record once. The next
    /// commit saves it beside the offset.
    fn once_since(&self) -> i64 {
        let mut known = self.shared.offsets.lock();
        let committed = known.committed.first().copied().unwrap_or(0);
        *known.once_since.get_or_insert(committed)
    }
}

/// The record of a letter as it is appended again. An event that was too far in the future is
/// judged by its new append time: by the first one it would be refused again.
fn original(letter: DeadLetter) -> NewRecord {
    let judged_anew = letter.code == DeadLetterCode::Rejected(RejectionCode::Future);
    let DeadLetter { record, .. } = letter;
    NewRecord {
        key: record.key,
        value: record.value.unwrap_or_default(),
        append_time: (!judged_anew).then_some(record.append_time),
        ..NewRecord::default()
    }
}

fn undecodable(offset: i64) -> LogError {
    LogError::Corrupt(format!("dead letter {offset} cannot be decoded"))
}
