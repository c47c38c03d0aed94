//! `bookend load`: sends events over HTTP, in batches, until the service has answered for all.
//!
//! After a transient error a batch is sent again, which is safe: a repeated event changes nothing.
//! No event is parsed here; the service decides what an event is.

use std::{
    fs,
    future::{self, Future},
    io::{self, IsTerminal},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{StreamExt, stream::FuturesUnordered};
use indicatif::{HumanCount, ProgressBar};
use shared::{
    cli::{self, Reported},
    progress::Progress,
};
use tokio::sync::{mpsc, oneshot};

use self::{
    batch::{At, Batcher, Place, RequestBatch},
    outcome::Outcome,
    rejects::Rejects,
    sender::Sender,
};
pub use self::{
    options::{LoadArgs, LoadOptions},
    summary::Summary,
};

mod batch;
mod input;
mod options;
mod outcome;
mod rejects;
mod reply;
mod sender;
mod summary;

/// The interval of the lines about the progress, if standard error is not a terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sends the files of `args` until `interrupt` resolves, shows the progress, and prints a summary
/// to standard output. The reason of a failure is printed before it.
///
/// # Errors
/// If a file cannot be read, an event cannot be delivered, no event is accepted, or `interrupt`
/// resolves.
pub async fn run(args: LoadArgs, interrupt: impl Future<Output = ()>) -> anyhow::Result<()> {
    let rejects = args.rejects.as_ref().map(|path| Rejects::create(path, &args.files));
    let outcome = Outcome::new(args.files.clone(), rejects.transpose()?, args.strict);
    let progress = progress_of(&args.files);
    let (files, reading) = (args.files, ProgressBar::clone(&progress));
    let watch = Watch { bar: &progress, interval: INTERVAL, tick: print_progress };
    let feed = move |batcher: &mut Batcher| input::read(&files, &reading, batcher);
    let summary = send(&args.options, outcome, watch, interrupt, feed).await?;
    drop(progress);
    if let Some(failure) = &summary.failure {
        cli::say("bookend", failure);
    }
    if args.json || summary.sent > 0 || summary.failure.is_none() {
        cli::print_report(&summary, args.json, &summary).context("cannot write the summary")?;
    }
    match (summary.is_interrupted, summary.failure) {
        (true, _) => Err(Reported::INTERRUPTED.into()),
        (false, Some(_)) => Err(Reported::FAILURE.into()),
        (false, None) => Ok(()),
    }
}

/// A bar over the bytes of `files`, or a counter if the size of one is unknown.
fn progress_of(files: &[PathBuf]) -> Progress {
    let sizes = files
        .iter()
        .map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()));
    let bytes = sizes.sum::<Option<u64>>();
    let template = match bytes {
        Some(_) => "loading {wide_bar} {bytes}/{total_bytes}, {msg} events/s, {eta} left",
        None => "loading {spinner} {bytes}, {msg} events/s, {elapsed}",
    };
    Progress::new(bytes, template)
}

/// Prints a line about the progress unless a bar shows it.
fn print_progress(summary: &Summary, bar: &ProgressBar) {
    if io::stderr().is_terminal() {
        return;
    }
    let share = bar.length().and_then(|length| (100 * bar.position()).checked_div(length));
    cli::say("bookend", summary.progress(share));
}

/// Sends `lines`, each an event without its newline, and advances `bar` by one for each line.
///
/// # Errors
/// If the URL is not valid. An event that cannot be delivered is reported in the summary: see
/// [`Summary::into_result`].
pub async fn load_lines<I>(
    lines: I,
    options: &LoadOptions,
    bar: &ProgressBar,
) -> anyhow::Result<Summary>
where
    I: IntoIterator<Item: AsRef<[u8]>> + Send + 'static,
{
    let counting = bar.clone();
    let feed = move |batcher: &mut Batcher| {
        for (number, line) in (1..).zip(lines) {
            if !batcher.push(line.as_ref(), Place { file: 0, at: At::Line(number) }) {
                break;
            }
            counting.inc(1);
        }
        Ok(())
    };
    let watch = Watch { bar, interval: INTERVAL, tick: |_: &Summary, _: &ProgressBar| {} };
    let outcome = Outcome::new(Vec::new(), None, false);
    send(options, outcome, watch, future::pending(), feed).await
}

/// How a load shows its progress: on a bar, and by calls of `tick` at an interval.
struct Watch<'a, F> {
    bar: &'a ProgressBar,
    interval: Duration,
    tick: F,
}

/// Runs `feed` on a thread that may block, and sends its batches, until all are sent or `stop`
/// resolves.
async fn send<F: FnMut(&Summary, &ProgressBar)>(
    options: &LoadOptions,
    mut outcome: Outcome,
    watch: Watch<'_, F>,
    stop: impl Future<Output = ()>,
    feed: impl FnOnce(&mut Batcher) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Summary> {
    let sender = Sender::new(options)?;
    let (batches, fed) = mpsc::channel(usize::from(options.concurrency));
    let most = options.batch as usize;
    let (done, ended) = oneshot::channel();
    // Not a thread of the runtime, which would wait for it at the end: it may wait for input.
    let thread = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let mut batcher = Batcher::new(most, batches);
        let fed = feed(&mut batcher);
        done.send((fed, batcher.finish())).ok();
    });
    thread.context("cannot start the thread that reads the events")?;

    let begun = Instant::now();
    let concurrency = usize::from(options.concurrency);
    let is_finished = tokio::select! {
        () = send_all(&sender, concurrency, fed, &mut outcome, watch, begun) => true,
        () = stop => false,
    };
    if is_finished {
        let (fed, unsent) = ended.await.context("the thread that reads the events failed")?;
        outcome.undelivered(unsent);
        if let Err(error) = fed {
            outcome.fail(format!("{error:#}"));
        }
    }
    Ok(outcome.finish(begun.elapsed(), !is_finished))
}

/// Sends batches, `concurrency` at a time, until the channel is closed. After a failure, no further
/// batch is sent; those already read count as undelivered.
async fn send_all<F: FnMut(&Summary, &ProgressBar)>(
    sender: &Sender,
    concurrency: usize,
    mut fed: mpsc::Receiver<RequestBatch>,
    outcome: &mut Outcome,
    mut watch: Watch<'_, F>,
    begun: Instant,
) {
    let mut ticks = tokio::time::interval(watch.interval);
    ticks.reset();
    let (mut sending, mut is_open) = (FuturesUnordered::new(), true);
    while is_open || !sending.is_empty() {
        tokio::select! {
            batch = fed.recv(), if is_open && sending.len() < concurrency => match batch {
                Some(batch) if !outcome.has_failed() => {
                    outcome.begin(&batch);
                    sending.push(sender.deliver(batch));
                }
                Some(batch) => outcome.undelivered(batch.events()),
                None => is_open = false,
            },
            Some(delivered) = sending.next() => {
                outcome.add(delivered);
                if outcome.has_failed() {
                    fed.close();
                }
                let rate = outcome.summary().settled() as f64 / begun.elapsed().as_secs_f64();
                watch.bar.set_message(HumanCount(rate as u64).to_string());
            }
            _ = ticks.tick() => (watch.tick)(outcome.summary(), watch.bar),
        }
    }
}

#[cfg(test)]
mod tests;
