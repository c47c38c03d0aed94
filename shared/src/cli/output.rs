//! What a command writes to standard output and standard error, and its exit status.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::config::{EXIT_USAGE, Mistakes};

/// Prints clap's message. Help and version end with status 0, mistakes with [`EXIT_USAGE`].
#[must_use]
pub fn usage(message: &clap::Error) -> ExitCode {
    // The reader may have closed the pipe, as in `bookend --help | head -1`.
    message.print().ok();
    ExitCode::from(if message.use_stderr() { EXIT_USAGE } else { 0 })
}

/// Returns the exit status of `program` for `result` and prints its error to standard error.
#[must_use]
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let (lines, status) = match error.downcast_ref::<Mistakes>() {
        Some(Mistakes(all)) => (all.clone(), EXIT_USAGE),
        None => (vec![with_causes(&error)], 1),
    };
    for line in lines {
        // Nothing is left to do if standard error is closed.
        writeln!(io::stderr(), "{program}: {line}").ok();
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
