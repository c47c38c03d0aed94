//! `bookend redrive`: puts dead letters back on the log, to be handled again.

use indicatif::HumanCount;
use ingest::log::DeadLetterCode;
use serde::Serialize;
use shared::{cli, progress::Progress};

use crate::serve::ServeConfig;

/// How many dead letters were looked at, and what became of them.
#[derive(Debug, Serialize)]
struct Done {
    looked_at: u64,
    appended: u64,
    kept: u64,
}

/// Appends the dead letters of the data directory to its log again, all or those with one of `codes`, and writes what it
/// did to standard output.
///
/// # Errors
/// When the directory cannot be opened or the log does not take them; doing it again is harmless.
pub async fn run(config: &ServeConfig, codes: &[DeadLetterCode], json: bool) -> anyhow::Result<()> {
    let log = config.log.open(config.process.clock()).await?;
    let progress = Progress::new(
        Some(log.dead_letters()),
        "redriving {wide_bar} {human_pos}/{human_len} dead letters, {eta} left",
    );
    let wanted = |code| codes.is_empty() || codes.contains(&code);
    let done = log.redrive(wanted, |done| progress.set_position(done.looked_at)).await?;
    drop(progress);
    let done = Done {
        looked_at: done.looked_at,
        appended: done.appended,
        kept: done.looked_at - done.appended,
    };
    let text = format!(
        "{} dead letters put back on the log, {} kept",
        HumanCount(done.appended),
        HumanCount(done.kept)
    );
    Ok(cli::print_report(&done, json, text)?)
}
