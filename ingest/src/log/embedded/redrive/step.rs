//! The step of a redrive that was begun last. A step writes to two journals, so a file says how far
//! both reached before it. A redrive that was killed in a step finds by it what the step had
//! written.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        EmbeddedLog,
        block::Entry,
        letters, segment,
        state::{EmbeddedCursor, blocking},
    },
    STEP_BYTES,
};
use crate::log::{DeadLetter, LogError, redrive::Origin};

/// A step: the end of its letters, and how far both journals reached before it wrote anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    next: i64,
    records: Vec<i64>,
    letters: i64,
}

/// The writes of the last step, if it was not committed. Its size depends on the letters of that
/// step only, not on what was appended since.
#[derive(Debug, Default)]
pub(in super::super) struct Interrupted {
    step: Option<Step>,
    /// How many records with the content of each letter were appended.
    back: HashMap<(Bytes, Bytes), usize>,
    kept: HashSet<Origin>,
}

impl EmbeddedLog {
    /// Finds the writes of the last step, if it was not committed.
    pub(in super::super) async fn interrupted(
        &self,
        committed: i64,
    ) -> Result<Interrupted, LogError> {
        let Some(step) = self.read_step().await?.filter(|step| step.next > committed) else {
            return Ok(Interrupted::default());
        };
        let (mut back, mut kept) = (HashMap::new(), HashSet::new());
        let mut cursor = EmbeddedCursor::default();
        loop {
            let read = self.0.letters.read(&mut cursor, STEP_BYTES).await?;
            if read.is_empty() {
                break;
            }
            for (offset, letter) in
                read.iter().filter_map(|(offset, entry)| Some((*offset, letters::read(entry)?)))
            {
                if (committed..step.next).contains(&offset) {
                    back.insert(content(&letter.letter), 0);
                } else if offset >= step.letters && letter.was_kept {
                    kept.insert(letter.origin);
                }
            }
        }
        let mut cursor = EmbeddedCursor::default();
        loop {
            let read = self.0.records.read(&mut cursor, STEP_BYTES).await?;
            if read.is_empty() {
                return Ok(Interrupted { step: Some(step), back, kept });
            }
            let is_new = |(offset, entry): &(i64, Entry)| {
                step.records.get(usize::from(entry.partition)).is_some_and(|end| offset >= end)
            };
            for (_, Entry { key, value, .. }) in read.into_iter().filter(is_new) {
                back.entry((key, value)).and_modify(|count| *count += 1);
            }
        }
    }

    /// Saves that a step begins, with the letters from `from` to `next`. One that repeats an
    /// interrupted step keeps the places of that one, whose records count if this one is killed
    /// too.
    pub(super) async fn begin_step(
        &self,
        from: i64,
        next: i64,
        interrupted: &Interrupted,
    ) -> Result<(), LogError> {
        let repeated = interrupted.step.clone().filter(|_| interrupted.has(from));
        let step = match repeated {
            Some(step) => Step { next: step.next.max(next), ..step },
            None => Step {
                next,
                records: self.0.records.positions().into_values().map(|at| at.end).collect(),
                letters: self.0.letters.position(0).end,
            },
        };
        let path = path(&self.0.dir);
        blocking(move || write(&path, &step).map_err(unwritable)).await
    }

    async fn read_step(&self) -> Result<Option<Step>, LogError> {
        let path = path(&self.0.dir);
        blocking(move || match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                LogError::Corrupt(format!("redrive.json cannot be read: {error}"))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unwritable(error)),
        })
        .await
    }
}

impl Interrupted {
    /// Whether the letter at `offset` belongs to the step.
    pub(super) fn has(&self, offset: i64) -> bool {
        self.step.as_ref().is_some_and(|step| offset < step.next)
    }

    /// Whether the step had kept a letter of this record.
    pub(super) fn has_kept(&self, origin: &Origin) -> bool {
        self.kept.contains(origin)
    }

    /// Whether the step had appended this letter's record. Two letters can have equal records.
    pub(super) fn take_back(&mut self, letter: &DeadLetter) -> bool {
        let left = self.back.get_mut(&content(letter)).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The number of different records that it has.
    #[cfg(test)]
    pub(in super::super) fn records(&self) -> usize {
        self.back.len()
    }
}

fn content(letter: &DeadLetter) -> (Bytes, Bytes) {
    let record = &letter.record;
    (record.key.clone().unwrap_or_default(), record.value.clone().unwrap_or_default())
}

fn path(dir: &Path) -> PathBuf {
    dir.join("redrive.json")
}

fn write(path: &Path, step: &Step) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = File::create(&new)?;
    serde_json::to_writer(&file, step)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), segment::sync_dir)
}

fn unwritable(error: io::Error) -> LogError {
    LogError::Busy(format!("the progress of the redrive could not be saved: {error}"))
}
