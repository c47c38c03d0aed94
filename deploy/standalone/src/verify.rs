//! `bookend verify`: recomputes every session from the log, compares the result with the store, and
//! prints the ledger.
//!
//! Writes and creates nothing. It reads the log in passes, each for a share of the users, so that
//! memory is bounded for a log of any length.

use std::fmt;

use anyhow::Context;
use ingest::{
    log::{Log, Offsets},
    replay,
};
use serde::Serialize;
use shared::{
    cli,
    store::Store,
    timestamp::{RETENTION, Timestamp},
};

pub use self::{
    difference::{Difference, DifferenceKind},
    differences::Differences,
    ledger::Ledger,
    steps::Steps,
};
use self::{
    differences::Check,
    expected::{Expected, Share},
    judge::Judge,
};
use crate::serve::ServeConfig;

mod difference;
mod differences;
mod expected;
mod judge;
mod ledger;
mod rows;
mod steps;

/// The approximate number of records of one pass: some hundred megabytes of sessions.
const PASS_RECORDS: u64 = 1_000_000;
/// The bytes of records per read.
const READ_BYTES: usize = 4 << 20;

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// The number of records by result.
    pub ledger: Ledger,
    /// Complete, open and orphan sessions, as computed from the log.
    pub sessions: u64,
    /// Sessions over the limit of facts. Their result may depend on the order of arrival.
    pub contested_sessions: u64,
    /// Records that the service has not processed yet. The store may have or lack their facts and
    /// the rows of their sessions.
    pub unanswered: u64,
    /// Whether retention has removed records from the log, so that the store may have more: the low
    /// watermark of a partition is not 0.
    pub log_is_cut: bool,
    /// The differences between the log and the store.
    pub differences: Differences,
}

/// Verifies the log and the store of `config`, and prints the result to standard output.
///
/// # Errors
/// If there is no log or no store, if there is nothing to compare, and if something differs.
pub async fn run(config: &ServeConfig, json: bool) -> anyhow::Result<()> {
    let clock = config.process.clock();
    let log = config.log.open_existing(clock).await?;
    let store = config.store.open_existing().await?;
    let steps = Steps::default();
    let tolerance = config.limits.consumer.future_tolerance_ms;
    let verdict = verify(&log, &store, clock.now(), tolerance, &steps).await?;
    drop(steps);
    cli::print_report(&verdict, json, &verdict)?;
    anyhow::ensure!(
        !verdict.is_empty() || verdict.unanswered == 0,
        "nothing was compared: {}; run the service until the lag is 0, then verify again",
        unanswered(verdict.unanswered)
    );
    anyhow::ensure!(
        !verdict.is_empty(),
        "nothing was compared: the log and the store have no events; check which ones the settings \
         name"
    );
    anyhow::ensure!(
        verdict.ledger.adds_up(),
        "the ledger does not add up: records were appended during the verification, or this is a \
         bug; verify again without traffic"
    );
    anyhow::ensure!(
        verdict.differences.count == 0,
        "the store differs from the log; standard output lists the differences"
    );
    Ok(())
}

/// Computes every session from `log` as of `now`, and compares it with `store`.
pub async fn verify(
    log: &Log,
    store: &Store,
    now: Timestamp,
    tolerance_ms: i64,
    steps: &Steps,
) -> anyhow::Result<Verdict> {
    let horizon = now - RETENTION;
    let positions = log.positions();
    let records: i64 = positions.values().map(|position| position.end).sum();
    let passes = u64::try_from(records)?.div_ceil(PASS_RECORDS).max(1);
    let lows = log.lows().await.context("the low watermarks of the log cannot be read")?;
    let log_is_cut = lows.values().any(|low| *low > 0);
    let mut verdict = Verdict { log_is_cut, ..Verdict::default() };
    let answered = answered(log, store).await?;
    // Reads the dead letters at most once.
    let mut judge = Judge::new(log, tolerance_ms);
    for number in 0..passes {
        let share = Share { number, of: passes };
        steps.next(share, "reading the log", u64::try_from(records)?);
        let mut expected = read(log, share, &answered, &mut judge, steps, &mut verdict).await?;
        verdict.sessions += expected.count(horizon, &mut verdict.ledger);
        verdict.contested_sessions += expected.contested.len() as u64;
        let log_is_whole = !verdict.log_is_cut;
        let check = Check { store, share, horizon, log_is_whole, steps };
        verdict.differences.compare(&check, &mut expected).await?;
    }
    Ok(verdict)
}

/// The offsets below which every record is answered: the committed ones, or those of an embedded
/// store that holds less.
async fn answered(log: &Log, store: &Store) -> anyhow::Result<Offsets> {
    let held = replay::compare(log, store).await?.map(|found| found.begin).unwrap_or_default();
    let offsets = log.positions().into_iter().map(|(partition, at)| {
        (partition, held.get(&partition).map_or(at.committed, |held| at.committed.min(*held)))
    });
    Ok(offsets.collect())
}

/// A number of records in words.
fn unanswered(records: u64) -> String {
    format!("{} events not answered yet", indicatif::HumanCount(records))
}

/// Reads the whole log and returns the expected sessions of the users of `share`.
async fn read(
    log: &Log,
    share: Share,
    answered: &Offsets,
    judge: &mut Judge<'_>,
    steps: &Steps,
    verdict: &mut Verdict,
) -> anyhow::Result<Expected> {
    let mut expected = Expected::default();
    let mut cursor = log.cursor();
    loop {
        let records = log.read(&mut cursor, READ_BYTES).await?;
        if records.is_empty() {
            return Ok(expected);
        }
        for record in &records {
            let is_answered =
                answered.get(&record.partition).is_some_and(|offset| record.offset < *offset);
            verdict.unanswered += u64::from(share.number == 0 && !is_answered);
            let ledger = &mut verdict.ledger;
            let Some(value) = &record.value else {
                ledger.records += u64::from(share.number == 0);
                ledger.skipped += u64::from(share.number == 0);
                continue;
            };
            let event = match record.parse(value) {
                Ok(event) => judge.judge(record, event).await?,
                Err(rejection) => Err(rejection.code),
            };
            let counted = match &event {
                Ok(event) => share.has(event.user()),
                Err(_) => share.number == 0,
            };
            if !counted {
                continue;
            }
            ledger.records += 1;
            match event {
                Ok(event) => expected.add(event, is_answered, ledger),
                Err(shared::event::RejectionCode::Expired) => ledger.expired += 1,
                Err(_) => ledger.dead_lettered += 1,
            }
        }
        steps.done(records.len());
    }
}

impl Verdict {
    /// Whether nothing was compared: no record is answered, and the store has nothing.
    fn is_empty(&self) -> bool {
        self.ledger.records <= self.unanswered && self.differences.compared == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = indicatif::HumanCount;
        let mut sign = if self.ledger.adds_up() { "=" } else { "≠" };
        writeln!(f, "ledger")?;
        writeln!(f, "  records in the log {:>16}", number(self.ledger.records).to_string())?;
        for (name, count) in self.ledger.classes() {
            writeln!(f, "  {sign} {name:<16} {:>16}", number(count).to_string())?;
            sign = "+";
        }
        writeln!(f, "sessions             {:>16}", number(self.sessions).to_string())?;
        if self.contested_sessions > 0 {
            let contested = number(self.contested_sessions);
            writeln!(f, "{contested} sessions are over the limit of facts and were not compared")?;
        }
        if self.log_is_cut {
            writeln!(f, "retention has removed the oldest records; the others were compared")?;
        }
        if self.unanswered > 0 {
            writeln!(
                f,
                "{}; what follows from them was not compared",
                unanswered(self.unanswered)
            )?;
        }
        match self.is_empty() {
            true => Ok(()),
            false => write!(f, "{}", self.differences),
        }
    }
}
