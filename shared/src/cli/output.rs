//! What a command writes to standard output and standard error, and its exit status.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use rustix::fs::{fstat, stat};
use serde::Serialize;

use crate::{
    config::{EXIT_USAGE, Mistakes},
    progress::Lines,
};

/// Prints clap's message for `program`. Help and version end with status 0 if they could be
/// written, mistakes with [`EXIT_USAGE`].
#[must_use]
pub fn usage(program: &str, message: &clap::Error) -> ExitCode {
    let printed = without_broken_pipe(message.print().and_then(|()| io::stdout().flush()));
    if message.use_stderr() {
        return ExitCode::from(EXIT_USAGE);
    }
    exit(program, printed.context("cannot write to standard output"))
}

/// The failure of a command that has printed its cause already. Only the exit status is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit status {0}")]
pub struct Reported(u8);

impl Reported {
    /// A failure.
    pub const FAILURE: Self = Self(1);
    /// SIGINT: the status that shells report for it.
    pub const INTERRUPTED: Self = Self(130);
}

/// Prints a line of `program` to standard error.
pub fn say(program: &str, line: impl fmt::Display) {
    // Nothing is left to do if standard error is closed.
    Lines.write_all(format!("{program}: {line}\n").as_bytes()).ok();
}

/// Returns the exit status of `program` for `result` and prints its error to standard error.
#[must_use]
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if let Some(Reported(status)) = error.downcast_ref() {
        return ExitCode::from(*status);
    }
    let (lines, status) = match error.downcast_ref::<Mistakes>() {
        Some(Mistakes(all)) => (all.clone(), EXIT_USAGE),
        None => (vec![with_causes(&error)], 1),
    };
    for line in lines {
        say(program, line);
    }
    ExitCode::from(status)
}

/// The error and its causes, each once: many errors repeat their cause in their own text.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { text + ": " + &cause }
    })
}

/// Writes `text` to standard output. A closed pipe is not an error.
pub fn print(text: &[u8]) -> io::Result<()> {
    without_broken_pipe(write(text))
}

/// Writes `text`, which cannot be printed again, to standard output.
///
/// # Errors
/// If nobody can read it, which includes a closed pipe, a closed standard output and `/dev/null`.
pub fn deliver(text: &[u8]) -> io::Result<()> {
    // Rust opens `/dev/null` in the place of a closed standard output, so writing would succeed.
    let output = fstat(io::stdout())?;
    if stat("/dev/null").is_ok_and(|null| null.st_rdev == output.st_rdev) {
        return Err(io::Error::other("it is closed, or is /dev/null"));
    }
    write(text)
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text)?;
    output.flush()
}

/// The reader may have closed the pipe, as in `bookend --help | head -1`.
fn without_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints `report` as one line of JSON if `json` is set, and `text` otherwise.
pub fn print_report(
    report: &impl Serialize,
    json: bool,
    text: impl fmt::Display,
) -> io::Result<()> {
    let text = if json { serde_json::to_string(report)? } else { text.to_string() };
    print(format!("{}\n", text.trim_end()).as_bytes())
}
