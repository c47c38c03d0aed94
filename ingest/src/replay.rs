//! Replays the embedded log into an embedded store that does not hold all of it: a store that was
//! deleted or restored from an older copy.
//!
//! The store keeps a checkpoint, which is compared with the log at every start. Where they differ,
//! the consumer begins at the checkpoint and not at the committed offsets of the log.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use shared::{
    progress::Progress,
    store::{Checkpoint, EmbeddedStore, Holds, LogId, Store},
};
use tokio::time::Instant;

use crate::{
    log::{EmbeddedLog, Log, Offsets, Partition},
    metrics::ConsumerMetrics,
};

/// The interval of the log lines about the progress.
const INTERVAL: Duration = Duration::from_secs(10);
/// The interval at which the progress is read.
const TICK: Duration = Duration::from_millis(200);

/// The part of the log that the store lacked at the start.
#[derive(Clone, Debug)]
pub struct Replay {
    log: Log,
    /// The committed offsets before the replay. The store should have held everything before them.
    until: Offsets,
    records: u64,
}

/// The difference between a store and its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Where the consumer has to begin.
    pub begin: Offsets,
    /// The number of committed records that the store lacks and the log still has.
    pub behind: u64,
    /// The number of committed records that the store lacks and that retention has removed.
    pub lost: u64,
    /// Whether the store has records that the log has not: the log is an older copy.
    pub is_ahead: bool,
    /// Why the store lacks records.
    why: &'static str,
}

/// Compares `store` with `log`; `None` unless both are embedded.
///
/// # Errors
/// One of them cannot be read.
pub async fn compare(log: &Log, store: &Store) -> anyhow::Result<Option<Comparison>> {
    match (log, store) {
        (Log::Embedded(log), Store::Embedded(store)) => {
            compare_embedded(log, store).await.map(Some)
        }
        _ => Ok(None),
    }
}

async fn compare_embedded(log: &EmbeddedLog, store: &EmbeddedStore) -> anyhow::Result<Comparison> {
    let positions = log.records().positions();
    let committed = || positions.iter().map(|(partition, at)| (*partition, at.committed)).collect();
    let (held, why): (Offsets, _) = match store.holds().await? {
        Holds::Nothing => (Offsets::new(), "the store is empty"),
        Holds::Unknown => (committed(), ""),
        Holds::To(Checkpoint { log: id, offsets }) if id == log.id() => {
            (offsets, "the store is older than its log")
        }
        Holds::To(_) => (Offsets::new(), "the store was written from another log"),
    };
    let lows = log.records().lows().await?;
    let mut found = Comparison { why, ..Comparison::default() };
    for (partition, at) in positions {
        let held = held.get(&partition).copied().unwrap_or(0);
        let low = lows.get(&partition).copied().unwrap_or(0);
        let begin = held.max(low).min(at.end);
        found.is_ahead |= held > at.end;
        found.lost += u64::try_from(low.min(at.committed) - held).unwrap_or(0);
        found.behind += u64::try_from(at.committed - begin).unwrap_or(0);
        found.begin.insert(partition, begin);
    }
    Ok(found)
}

/// Makes the consumer of `log` begin where `store` needs it, and reports what it finds. Returns the
/// replay if the store lacks records. Call it before the first poll.
///
/// # Errors
/// The log or the store cannot be read or written.
pub async fn align(
    log: &Log,
    store: &Store,
    metrics: &ConsumerMetrics,
) -> anyhow::Result<Option<Replay>> {
    let (Log::Embedded(embedded), Store::Embedded(target)) = (log, store) else { return Ok(None) };
    let found = compare_embedded(embedded, target).await?;
    let until = positions_of(log, |at| at.committed);
    report(&found, metrics);
    let mut id: LogId = embedded.id();
    if found.is_ahead {
        // Records will be appended at offsets that the store has had from the newer log.
        id = embedded.renew_id().await.context("the log")?;
    }
    if found.begin != until {
        embedded.records().restart_at(&found.begin).await.context("the log")?;
    }
    target.set_checkpoint(Checkpoint { log: id, offsets: found.begin }).await?;
    Ok((found.behind > 0).then(|| Replay { log: log.clone(), until, records: found.behind }))
}

fn report(found: &Comparison, metrics: &ConsumerMetrics) {
    let &Comparison { behind, lost, is_ahead, why, .. } = found;
    metrics.lost.inc_by(lost);
    if is_ahead {
        tracing::warn!(
            "the log is an older copy: the store has records that the log lacks; new records are \
             consumed from the end of the log"
        );
    }
    if behind > 0 {
        tracing::warn!(cause = why, records = behind, "replaying the log into the store");
    }
    if lost > 0 {
        tracing::error!(
            cause = why,
            records = lost,
            "the store lacks records that retention has removed from the log; restore the store \
             from a backup, or send these events again"
        );
    }
}

fn positions_of(log: &Log, offset: impl Fn(crate::log::Position) -> i64) -> Offsets {
    log.positions().into_iter().map(|(partition, at)| (partition, offset(at))).collect()
}

impl Replay {
    /// The number of records that are not replayed yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        let committed: BTreeMap<Partition, i64> = positions_of(&self.log, |at| at.committed);
        let left = self.until.iter().map(|(partition, until)| {
            u64::try_from(until - committed.get(partition).unwrap_or(until)).unwrap_or(0)
        });
        left.sum()
    }

    /// Why the process is not ready: the progress of the replay. `None` when it is done.
    #[must_use]
    pub fn pending(&self) -> Option<String> {
        let left = self.left();
        (left > 0).then(|| {
            format!(
                "the log is being replayed into the store: {}% done, {left} records left",
                self.percent(left)
            )
        })
    }

    fn percent(&self, left: u64) -> u64 {
        100 * self.records.saturating_sub(left) / self.records.max(1)
    }

    /// Reports the progress until the replay is done.
    pub async fn show(self) {
        let bar = Progress::new(
            Some(self.records),
            "replaying {wide_bar} {human_pos}/{human_len} records, {eta} left",
        );
        let begun = Instant::now();
        let mut told = begun;
        loop {
            tokio::time::sleep(TICK).await;
            let left = self.left();
            let done = self.records.saturating_sub(left);
            bar.set_position(done);
            if left == 0 {
                drop(bar);
                tracing::info!(records = self.records, "the log is replayed into the store");
                return;
            }
            if told.elapsed() >= INTERVAL {
                told = Instant::now();
                // Nothing can be estimated before the first record is done.
                let seconds_left = (u128::from(left) * begun.elapsed().as_millis() / 1_000)
                    .checked_div(done.into())
                    .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
                tracing::info!(
                    percent = self.percent(left),
                    records_left = left,
                    seconds_left,
                    "replaying the log into the store"
                );
            }
        }
    }
}
