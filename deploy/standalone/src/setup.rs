//! `bookend setup`: makes the topics and the tables, as far as they are missing.

use serde::Serialize;
use shared::cli;

use crate::serve::ServeConfig;

/// What was done, in sentences.
#[derive(Debug, Serialize)]
struct Done {
    log: Vec<String>,
    store: Vec<String>,
}

/// Makes what the log and the store of `config` need to exist, and writes what it did to standard output.
///
/// # Errors
/// When Kafka or Cassandra cannot be reached or refuses; doing it again is harmless.
pub async fn run(config: &ServeConfig, json: bool) -> anyhow::Result<()> {
    let done = Done { log: config.log.setup().await?, store: config.store.setup().await? };
    let sentences = [done.log.as_slice(), &done.store].concat().join("\n");
    Ok(cli::print_report(&done, json, sentences)?)
}
