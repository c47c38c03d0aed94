//! A data set as lines, to a file or to standard output; and how far that is, unless the lines themselves go to the terminal.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use indicatif::HumanCount;
use serde::Serialize;
use shared::{cli, clock::Clock, progress::Progress, timestamp::Timestamp};

use super::{Dataset, GenerateArgs};

/// How many lines are written between two looks at how far it is.
const STEP: usize = 10_000;

/// What was made, and what makes the same again.
#[derive(Debug, Serialize)]
struct Made<'a> {
    lines: usize,
    sessions: u32,
    seed: u64,
    ending_at: Timestamp,
    output: &'a Path,
}

/// Writes the data set that `args` describe to their output, one line an event; into a file it also says what was made.
///
/// # Errors
/// When the output cannot be made or written. A reader that has seen enough (`bookend generate | head`) is no error.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let ending_at = args.ending_at.unwrap_or_else(|| Clock::machine().now());
    match &args.output {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
            let dataset = draw(args, ending_at);
            write(&dataset, file, true)
                .with_context(|| format!("cannot write {}", path.display()))?;
            let made = Made {
                lines: dataset.len(),
                sessions: args.sessions,
                seed: args.seed,
                ending_at,
                output: path,
            };
            let text = format!(
                "{} lines in {}, from --seed {} --ending-at {ending_at}",
                HumanCount(made.lines as u64),
                path.display(),
                args.seed
            );
            Ok(cli::print_report(&made, args.json, text)?)
        }
        None => {
            let output = io::stdout().lock();
            let is_seen = output.is_terminal();
            match write(&draw(args, ending_at), output, !is_seen) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.context("cannot write the events"),
            }
        }
    }
}

fn draw(args: &GenerateArgs, ending_at: Timestamp) -> Dataset {
    let _waiting =
        Progress::waiting(format!("drawing {} sessions", HumanCount(args.sessions.into())));
    Dataset::new(args, ending_at)
}

fn write(dataset: &Dataset, output: impl Write, show: bool) -> io::Result<()> {
    let template = "generating {wide_bar} {human_pos}/{human_len} lines, {eta} left";
    let progress = show.then(|| Progress::new(Some(dataset.len() as u64), template));
    let mut output = BufWriter::with_capacity(1 << 18, output);
    let mut line = Vec::with_capacity(256);
    for position in 0..dataset.len() {
        line.clear();
        dataset.write(position, &mut line);
        line.push(b'\n');
        output.write_all(&line)?;
        if let Some(progress) = progress.as_ref().filter(|_| position % STEP == 0) {
            progress.set_position(position as u64);
        }
    }
    output.flush()
}
