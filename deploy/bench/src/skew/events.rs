//! Writes data sets: events as lines of JSON in a file.

use std::{
    fmt::Display,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use shared::{
    clock::Clock,
    timestamp::{DAY, MINUTE, Timestamp},
};
use standalone::generate::Dataset;

/// The number of countries of ordinary data.
pub(super) const COUNTRIES: u32 = 246;
/// The age of the newest and of the oldest start of [`Events::history`]. Queries of 30 days do not
/// read them.
const HISTORY: [i64; 2] = [40 * DAY, 70 * DAY];
/// One of so many sessions of a history is open, and another one is an orphan.
const INCOMPLETE_EVERY: u32 = 1_000;

/// A data set that is being written.
pub(super) struct Events {
    out: BufWriter<File>,
    file: PathBuf,
    number: u64,
}

/// A data set in a file.
pub(super) struct EventFile {
    pub(super) file: PathBuf,
    /// The number of events.
    pub(super) events: u64,
}

impl Events {
    pub(super) fn create(file: &Path) -> anyhow::Result<Self> {
        Ok(Self { out: BufWriter::new(File::create(file)?), file: file.to_owned(), number: 0 })
    }

    pub(super) fn start(
        &mut self,
        user: impl Display,
        session: impl Display,
        ts: Timestamp,
        country: u32,
    ) -> anyhow::Result<()> {
        self.number += 1;
        Ok(writeln!(
            self.out,
            r#"{{"user_id":"{user}","session_id":"{session}","event":"start","ts":"{ts}","country":"C{country:06}"}}"#
        )?)
    }

    pub(super) fn end(
        &mut self,
        user: impl Display,
        session: impl Display,
        ts: Timestamp,
    ) -> anyhow::Result<()> {
        self.number += 1;
        Ok(writeln!(
            self.out,
            r#"{{"user_id":"{user}","session_id":"{session}","event":"end","ts":"{ts}"}}"#
        )?)
    }

    /// Writes `sessions` sessions of `user` with the ids `0000000`, `0000001` and so on. Few are
    /// open or orphans, so that a search for them reads as many sessions as it may.
    pub(super) fn history(&mut self, user: &str, sessions: u32) -> anyhow::Result<()> {
        let now = Clock::machine().now();
        let [newest, oldest] = HISTORY;
        for number in 0..sessions {
            let age = oldest - (oldest - newest) * i64::from(number) / i64::from(sessions);
            let (start, session) = (now - age, format!("{number:07}"));
            let place = number % INCOMPLETE_EVERY;
            if place != INCOMPLETE_EVERY / 2 {
                self.start(user, &session, start, number % COUNTRIES)?;
            }
            if place != 0 {
                self.end(user, &session, start + MINUTE)?;
            }
        }
        Ok(())
    }

    /// Writes all events of `data`.
    pub(super) fn generated(&mut self, data: Dataset) -> anyhow::Result<()> {
        self.number += data.len() as u64;
        for line in data.into_lines() {
            self.out.write_all(&line)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(mut self) -> anyhow::Result<EventFile> {
        self.out.flush()?;
        Ok(EventFile { file: self.file, events: self.number })
    }
}
