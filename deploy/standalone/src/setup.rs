//! `bookend setup`: makes the topics and the tables, as far as they are missing.

use std::io::Write;

use crate::serve::ServeConfig;

/// Makes what the log and the store of `config` need to exist, and writes what it did to standard output.
///
/// # Errors
/// When Kafka or Cassandra cannot be reached or refuses; doing it again is harmless.
pub async fn run(config: &ServeConfig) -> anyhow::Result<()> {
    let mut done = config.log.setup().await?;
    done.extend(config.store.setup().await?);
    let mut out = std::io::stdout().lock();
    for sentence in done {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}
