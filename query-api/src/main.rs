//! `query-api`: answers which sessions started where, and which are a user's last complete ones, from Cassandra.

use std::process::ExitCode;

use query_api::config::{QueryConfig, program_settings};
use shared::cli;

/// Threads come and go with every request: an allocator that returns memory across threads keeps the process small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = cli::program(
        "query-api",
        "Answers which sessions started where, and which are a user's last complete ones, from Cassandra.",
        None,
    );
    cli::main(program, &program_settings(), |given| {
        let config = QueryConfig::from_settings(given)?;
        config.process.start_telemetry()?;
        let work = async move {
            let listener = config.process.listen().await?;
            query_api::service::run(config, listener, cli::stopped()?).await
        };
        Ok((cli::Threads::All, work))
    })
}
