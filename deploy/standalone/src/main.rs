//! `bookend`: the whole service in one program, and the commands that load, check and show it.

use std::process::ExitCode;

/// Threads come and go with every request: an allocator that returns memory across threads keeps the process small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    standalone::cli::run(std::env::args_os())
}
