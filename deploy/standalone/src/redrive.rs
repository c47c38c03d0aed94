//! `bookend redrive`: appends dead letters to the log again, so that they are processed again.

use std::fmt;

use indicatif::HumanCount;
use ingest::{
    log::{DeadLetterCode, Log, config::LogConfig},
    replay,
};
use serde::Serialize;
use shared::{cli, progress::Progress, store::config::StoreConfig};

use crate::serve::ServeConfig;

/// The number of dead letters by result.
#[derive(Debug, Serialize)]
struct RedriveReport {
    looked_at: u64,
    appended: u64,
    kept: u64,
    repeated: u64,
}

/// Appends all dead letters, or those with one of `codes`, to the log again, and prints a report to
/// standard output. Repeating the command is harmless. Creates no log, topic or store.
pub async fn run(config: &ServeConfig, codes: &[DeadLetterCode], json: bool) -> anyhow::Result<()> {
    let log = config.log.open_to_write(config.process.clock()).await?;
    refuse_an_older_copy(&log, config).await?;
    let progress = Progress::new(
        Some(log.dead_letters()),
        "redriving {wide_bar} {human_pos}/{human_len} dead letters, {eta} left",
    );
    let wanted = |code| codes.is_empty() || codes.contains(&code);
    let done = log.redrive(wanted, |done| progress.set_position(done.looked_at)).await?;
    drop(progress);
    let report = RedriveReport {
        looked_at: done.looked_at,
        appended: done.appended,
        kept: done.looked_at - done.appended - done.repeated,
        repeated: done.repeated,
    };
    Ok(cli::print_report(&report, json, &report)?)
}

impl fmt::Display for RedriveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [appended, kept, repeated] = [self.appended, self.kept, self.repeated].map(HumanCount);
        match (self.looked_at, self.appended) {
            (0, _) => return f.write_str("nothing to redrive: there are no dead letters"),
            (_, 0) => f.write_str("nothing was redriven: ")?,
            _ => {}
        }
        write!(
            f,
            "{appended} dead letters appended to the log, {kept} kept, {repeated} repeated ones \
             removed"
        )
    }
}

/// Fails if the log is an older copy and the service has not run since. The records of a redrive
/// would have offsets that the store holds already, with other records, and so never be consumed.
async fn refuse_an_older_copy(log: &Log, config: &ServeConfig) -> anyhow::Result<()> {
    let (LogConfig::Embedded(..), StoreConfig::Embedded(..)) = (&config.log, &config.store) else {
        return Ok(());
    };
    // A store that was deleted holds no records: the next start replays the log.
    let Some(store) = config.store.open_if_present().await? else { return Ok(()) };
    let found = replay::compare(log, &store).await?;
    anyhow::ensure!(
        found.is_none_or(|found| !found.is_ahead),
        "nothing was redriven: the log is an older copy, and the store has records that it lacks; \
         start `bookend serve` once, stop it, then redrive again"
    );
    Ok(())
}
