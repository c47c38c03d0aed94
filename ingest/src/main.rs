//! The program `ingest`: the endpoint and the consumer on Kafka and Cassandra.

use std::process::ExitCode;

use ingest::{
    config::{IngestConfig, program_settings},
    log::kafka::librdkafka_version,
};
use shared::cli;

/// Returns memory that one thread allocates and another frees, as requests do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = cli::program(
        "ingest",
        "Receives session events over HTTP into Kafka and pairs them into sessions in Cassandra",
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
