//! Writes a data set to a file or standard output. Shows the progress only if the lines go to
//! a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use indicatif::HumanCount;
use rustix::fs::FileType;
use serde::Serialize;
use shared::{cli, clock::Clock, progress::Progress, timestamp::Timestamp};

use super::{Dataset, GenerateArgs};

/// The lines between two updates of the progress.
const STEP: usize = 10_000;

/// The report: what was written, and the arguments that generate it again.
#[derive(Debug, Serialize)]
struct GenerateReport<'a> {
    lines: usize,
    sessions: u32,
    seed: u64,
    ending_at: Timestamp,
    output: &'a Path,
}

/// Writes the data set of `args` to their output, one event per line. Prints a report if the output
/// is a file.
///
/// # Errors
/// If the output cannot be created or written. A closed pipe (`bookend generate | head`) is not an
/// error.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let ending_at = args.ending_at.unwrap_or_else(|| Clock::machine().now());
    match &args.output {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
            let dataset = draw(args, ending_at, true);
            write(&dataset, file, true)
                .with_context(|| format!("cannot write {}", path.display()))?;
            let report = GenerateReport {
                lines: dataset.len(),
                sessions: args.sessions,
                seed: args.seed,
                ending_at,
                output: path,
            };
            let text = format!(
                "{} lines in {}, generated with --seed {} --ending-at {ending_at}",
                HumanCount(report.lines as u64),
                path.display(),
                args.seed
            );
            Ok(cli::print_report(&report, args.json, text)?)
        }
        None => {
            let output = io::stdout().lock();
            // A terminal shows the lines themselves, and the reader of a pipe may show a bar.
            let kind =
                rustix::fs::fstat(&output).map(|found| FileType::from_raw_mode(found.st_mode));
            let show = kind.is_ok_and(FileType::is_file);
            match write(&draw(args, ending_at, show), output, show) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.context("cannot write the events"),
            }
        }
    }
}

fn draw(args: &GenerateArgs, ending_at: Timestamp, show: bool) -> Dataset {
    let text = || format!("drawing {} sessions", HumanCount(args.sessions.into()));
    let _waiting = show.then(|| Progress::waiting(text()));
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
