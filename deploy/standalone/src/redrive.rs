//! `bookend redrive`: puts dead letters back on the log, to be handled again.

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};
use ingest::log::DeadLetterCode;

use crate::serve::ServeConfig;

/// Appends the dead letters of the data directory to its log again, all or those with one of `codes`, and writes what it
/// did to standard output.
///
/// # Errors
/// When the directory cannot be opened or the log does not take them; doing it again is harmless.
pub async fn run(config: &ServeConfig, codes: &[DeadLetterCode]) -> anyhow::Result<()> {
    let log = config.log.open(config.process.clock()).await?;
    let bar = ProgressBar::new(log.dead_letters()).with_style(
        ProgressStyle::with_template("redriving {wide_bar} {human_pos}/{human_len} dead letters, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let wanted = |code| codes.is_empty() || codes.contains(&code);
    let done = log.redrive(wanted, |done| bar.set_position(done.looked_at)).await?;
    bar.finish_and_clear();
    let kept = done.looked_at - done.appended;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} dead letters put back on the log, {kept} kept", done.appended)?;
    Ok(())
}
