//! `bookend setup`: creates the topics and tables that are missing.

use serde::Serialize;
use shared::cli;

use crate::serve::ServeConfig;

/// The changes, one sentence each.
#[derive(Debug, Serialize)]
struct Done {
    log: Vec<String>,
    store: Vec<String>,
}

/// Sets up the log and the store of `config`, and prints the changes to standard output.
///
/// # Errors
/// When Kafka or Cassandra is unreachable or fails a request. Running it again is safe.
pub async fn run(config: &ServeConfig, json: bool) -> anyhow::Result<()> {
    let done = Done { log: config.log.setup().await?, store: config.store.setup().await? };
    let sentences = [done.log.as_slice(), &done.store].concat().join("\n");
    Ok(cli::print_report(&done, json, sentences)?)
}
