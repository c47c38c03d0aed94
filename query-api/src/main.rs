//! The program `query-api`: answers queries about session starts by country and about the sessions
//! of a user, from Cassandra.

use std::process::ExitCode;

use query_api::config::{QueryConfig, program_settings};
use shared::cli;

/// Memory is often freed by another thread than the one that allocated it; this allocator reuses
/// such memory, which keeps the process small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = cli::program(
        "query-api",
        "Answers queries about session starts by country and the sessions of a user, from Cassandra",
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
