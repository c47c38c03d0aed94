//! The program `bookend`.

use std::process::ExitCode;

/// Requests allocate on one thread and free on another; mimalloc keeps the process small then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    standalone::cli::run(std::env::args_os())
}
