//! Redrives dead letters of the embedded log, those of each record once.
//!
//! Records and letters are two journals, so a step is not atomic. Before a step writes anything, a
//! file says how far both journals reach. A redrive that was killed in a step finds by it what that
//! step had written.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::event::RejectionCode;

use super::{
    EmbeddedLog,
    block::Entry,
    letters, segment,
    state::{EmbeddedCursor, blocking},
};
use crate::log::{
    DeadLetter, DeadLetterCode, LogError, NewRecord, Position, Record, Redriven,
    redrive::{NewestLetters, Origin, Sieve},
};

/// The bytes of dead letters that one step reads.
const STEP_BYTES: usize = 1 << 20;

/// What the file says.
#[derive(Serialize, Deserialize)]
struct State {
    /// The letter from which on redrives handled those of each record once. Older programs did not.
    since: i64,
    /// The step that was begun last.
    step: Option<Step>,
}

/// A step: how far it reads, and how far both journals reached before it.
#[derive(Clone, Serialize, Deserialize)]
struct Step {
    next: i64,
    records: Vec<i64>,
    letters: i64,
}

/// The content that an interrupted step had written.
#[derive(Default)]
struct Interrupted {
    /// The end of its letters.
    next: i64,
    back: HashMap<(Bytes, Bytes), usize>,
    kept: HashSet<Origin>,
}

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
        let state = self.read_state(next).await?;
        let mut interrupted = self.interrupted(state.step.as_ref(), next).await?;
        let mut sieve = self.sieve(state.since, next).await?;
        let mut done = Redriven::default();
        while next < end {
            let polled = letters.poll(STEP_BYTES).await?;
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            // Letters from `end` on were added since, perhaps by this redrive.
            for (offset, entry) in polled.into_iter().filter(|(offset, _)| *offset < end) {
                next = offset + 1;
                let letter = letters::read(&entry).ok_or_else(|| undecodable(offset))?;
                done.looked_at += 1;
                let is_open = offset < interrupted.next;
                if is_open && interrupted.has_kept(&letter.origin) {
                    // Its copy is among the letters that follow.
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
            self.begin_step(state.since, next).await?;
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
        Origin { log: self.id().to_string(), partition, offset }
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

    /// Finds what the last step had written, if it was not committed.
    async fn interrupted(
        &self,
        step: Option<&Step>,
        committed: i64,
    ) -> Result<Interrupted, LogError> {
        let mut found = Interrupted::default();
        let Some(step) = step.filter(|step| step.next > committed) else { return Ok(found) };
        found.next = step.next;
        let mut cursor = EmbeddedCursor::default();
        loop {
            let read = self.0.letters.read(&mut cursor, STEP_BYTES).await?;
            if read.is_empty() {
                break;
            }
            let written = read.iter().filter(|(offset, _)| *offset >= step.letters);
            let kept = written.filter_map(|(_, entry)| letters::read(entry));
            found.kept.extend(kept.filter(|letter| letter.was_kept).map(|kept| kept.origin));
        }
        let mut cursor = EmbeddedCursor::default();
        loop {
            let read = self.0.records.read(&mut cursor, STEP_BYTES).await?;
            if read.is_empty() {
                return Ok(found);
            }
            let is_new = |(offset, entry): &(i64, Entry)| {
                step.records.get(usize::from(entry.partition)).is_some_and(|end| offset >= end)
            };
            for (_, Entry { key, value, .. }) in read.into_iter().filter(is_new) {
                *found.back.entry((key, value)).or_default() += 1;
            }
        }
    }

    async fn read_state(&self, committed: i64) -> Result<State, LogError> {
        let path = state_path(&self.0.dir);
        blocking(move || match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                LogError::Corrupt(format!("redrive.json cannot be read: {error}"))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(State { since: committed, step: None })
            }
            Err(error) => Err(unwritable(error)),
        })
        .await
    }

    async fn begin_step(&self, since: i64, next: i64) -> Result<(), LogError> {
        let records = self.0.records.positions().into_values().map(|at| at.end).collect();
        let letters = self.0.letters.position(0).end;
        let state = State { since, step: Some(Step { next, records, letters }) };
        let path = state_path(&self.0.dir);
        blocking(move || write_state(&path, &state).map_err(unwritable)).await
    }
}

impl Interrupted {
    fn has_kept(&self, origin: &Origin) -> bool {
        self.kept.contains(origin)
    }

    /// Whether the step had appended this letter's record. Two letters can have equal records.
    fn take_back(&mut self, letter: &DeadLetter) -> bool {
        let record = letter.record.clone();
        let content = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        let left = self.back.get_mut(&content).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
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

fn state_path(dir: &Path) -> PathBuf {
    dir.join("redrive.json")
}

fn write_state(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = File::create(&new)?;
    serde_json::to_writer(&file, state)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), segment::sync_dir)
}

fn undecodable(offset: i64) -> LogError {
    LogError::Corrupt(format!("dead letter {offset} cannot be decoded"))
}

fn unwritable(error: io::Error) -> LogError {
    LogError::Busy(format!("the progress of the redrive could not be saved: {error}"))
}
