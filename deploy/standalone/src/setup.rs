//! `bookend setup`: creates the topics and tables that are missing.

use serde_json::json;
use shared::cli;

use crate::serve::ServeConfig;

/// Sets up the log and the store of `config`, and prints the changes to standard output.
///
/// # Errors
/// When Kafka or Cassandra is unreachable or fails a request. Running it again is safe.
pub async fn run(config: &ServeConfig, json: bool) -> anyhow::Result<()> {
    let (log, store) = (config.log.setup().await?, config.store.setup().await?);
    let report = json!({ "log": log, "store": store });
    Ok(cli::print_report(&report, json, [log, store].concat().join("\n"))?)
}
