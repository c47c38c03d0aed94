//! `ingest`: takes batches of session events to Kafka, and pairs what lies there into completed sessions in Cassandra.

use std::process::ExitCode;

use clap::Command;
use ingest::config::{IngestConfig, program_settings};
use shared::cli;

/// Threads come and go with every request: an allocator that returns memory across threads keeps the process small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Command::new("ingest")
        .about("Takes batches of session events to Kafka, and pairs what lies there into completed sessions in Cassandra.")
        .version(env!("CARGO_PKG_VERSION"));
    cli::main(command, &program_settings(), |given| {
        let config = IngestConfig::from_settings(given)?;
        config.process.start_telemetry()?;
        Ok(async move {
            let listener = config.process.listen().await?;
            ingest::service::run(config, listener, cli::stopped()?).await
        })
    })
}
