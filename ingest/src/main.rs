//! `ingest`: takes batches of session events to Kafka, and pairs what lies there into completed sessions in Cassandra.

use std::process::ExitCode;

use ingest::{
    config::{IngestConfig, program_settings},
    log::kafka::librdkafka_version,
};
use shared::cli;

/// Threads come and go with every request: an allocator that returns memory across threads keeps the process small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = cli::program(
        "ingest",
        "Takes batches of session events to Kafka, and pairs what lies there into completed sessions in Cassandra.",
        Some(&librdkafka_version()),
    );
    cli::main(program, &program_settings(), |given| {
        let config = IngestConfig::from_settings(given)?;
        config.process.start_telemetry()?;
        let threads = config.role.threads();
        let work = async move {
            let listener = config.process.listen().await?;
            ingest::service::run(config, listener, cli::stopped()?).await
        };
        Ok((threads, work))
    })
}
