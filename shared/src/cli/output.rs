//! What a command writes to standard output and standard error, and its exit status.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    config::{EXIT_USAGE, Mistakes},
    progress::Lines,
};

/// Prints clap's message. Help and version end with status 0, mistakes with [`EXIT_USAGE`].
#[must_use]
pub fn usage(message: &clap::Error) -> ExitCode {
    // The reader may have closed the pipe, as in `bookend --help | head -1`.
    message.print().ok();
    ExitCode::from(if message.use_stderr() { EXIT_USAGE } else { 0 })
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
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
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
