//! `bookend load`: sends JSON lines over HTTP, in batches, until the service has answered for all.
//!
//! After a transient error a batch is sent again, which is safe: a repeated event changes nothing.
//! No line is parsed here; the service decides what an event is.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream::FuturesUnordered};
use indicatif::{HumanCount, ProgressBar};
use shared::{cli, progress::Progress};
use tokio::sync::mpsc;

use self::{
    batch::{Batcher, RequestBatch},
    sender::Sender,
};
pub use self::{
    options::{LoadArgs, LoadOptions},
    summary::Summary,
};

mod batch;
mod input;
mod options;
mod reply;
mod sender;
mod summary;

/// Sends the files of `args`, shows the progress on a terminal, and prints a summary to standard
/// output.
///
/// # Errors
/// If a file cannot be read or an event cannot be delivered; the summary of what was sent is
/// printed first.
pub async fn run(args: LoadArgs) -> anyhow::Result<Summary> {
    let progress = progress_of(&args.files);
    let (files, reading) = (args.files, ProgressBar::clone(&progress));
    let summary =
        send(&args.options, &progress, move |batcher| input::read(&files, &reading, batcher))
            .await?;
    drop(progress);
    if args.json || summary.sent > 0 || summary.failure.is_none() {
        cli::print_report(&summary, args.json, &summary).context("cannot write the summary")?;
    }
    summary.into_result()
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
        for line in lines {
            if !batcher.push(line.as_ref()) {
                break;
            }
            counting.inc(1);
        }
        Ok(())
    };
    send(options, bar, feed).await
}

/// Runs `feed` on a thread that may block, and sends its batches.
async fn send(
    options: &LoadOptions,
    bar: &ProgressBar,
    feed: impl FnOnce(&mut Batcher) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Summary> {
    let sender = Sender::new(options)?;
    let (batches, mut fed) = mpsc::channel(usize::from(options.concurrency));
    let most = options.batch as usize;
    let feeding = tokio::task::spawn_blocking(move || {
        let mut batcher = Batcher::new(most, batches);
        let fed = feed(&mut batcher);
        (fed, batcher.finish())
    });

    let begun = Instant::now();
    let mut summary = Summary::default();
    send_all(&sender, usize::from(options.concurrency), &mut fed, &mut summary, |summary| {
        let rate = summary.settled() as f64 / begun.elapsed().as_secs_f64();
        bar.set_message(HumanCount(rate as u64).to_string());
    })
    .await;
    let (fed, left) = feeding.await.context("the thread that reads the events failed")?;
    summary.too_long(left.too_long);
    summary.undelivered(left.unsent);
    summary.elapsed = begun.elapsed();
    if let Err(error) = fed {
        summary.fail(format!("{error:#}"));
    }
    Ok(summary)
}

/// Sends batches, `concurrency` at a time, until the channel is closed. After the first batch that
/// cannot be delivered, no further batch is sent; those already read count as undelivered.
async fn send_all(
    sender: &Sender,
    concurrency: usize,
    fed: &mut mpsc::Receiver<RequestBatch>,
    summary: &mut Summary,
    show: impl Fn(&Summary),
) {
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            batch = fed.recv(), if sending.len() < concurrency => match batch {
                Some(batch) if summary.failure.is_none() => sending.push(sender.deliver(batch)),
                Some(batch) => summary.undelivered(batch.events),
                None => break,
            },
            Some(delivered) = sending.next() => {
                summary.add(delivered);
                if summary.failure.is_some() {
                    fed.close();
                }
                show(summary);
            }
        }
    }
    while let Some(delivered) = sending.next().await {
        summary.add(delivered);
        show(summary);
    }
}

#[cfg(test)]
mod tests;
