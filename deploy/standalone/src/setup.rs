//! `bookend setup`: creates the topics and tables that are missing.

use serde_json::json;
use shared::cli;

use crate::serve::ServeConfig;

/// Sets up the log and the store of `config`, and prints the changes to standard output.
///
/// # Errors
/// When Kafka or Cassandra is unreachable or fails a request, or a topic has a setting with which
/// events are lost or refused. Running it again is safe.
pub async fn run(config: &ServeConfig, json: bool) -> anyhow::Result<()> {
    let (log, store) = (config.log.setup().await?, config.store.setup().await?);
    let report = json!({ "log": log.lines, "store": store });
    cli::print_report(&report, json, [log.lines, store].concat().join("\n"))?;
    anyhow::ensure!(
        log.faults == 0,
        "the topics are not usable as they are: number of settings with errors: {}; change them as the report says, \
         then run `bookend setup` again",
        log.faults
    );
    Ok(())
}
