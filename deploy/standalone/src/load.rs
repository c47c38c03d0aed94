//! `bookend load`: delivers JSON lines over HTTP, in batches, until the service has answered for every one of them.
//!
//! A batch is sent again after any passing fault, which is safe: an event that arrives twice says nothing new. No line is
//! parsed here; what is an event and what is not, the service says.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{StreamExt, stream::FuturesUnordered};
use indicatif::{HumanCount, ProgressBar};
use shared::cli;
use tokio::sync::mpsc;

pub use self::summary::Summary;
use self::{
    batch::{Batch, Batcher},
    client::Client,
};

mod batch;
mod client;
mod input;
mod progress;
mod reply;
mod summary;

/// What to deliver, and where to.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    /// Files of JSON lines, also compressed (gzip, bzip2, Zstandard); `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How it is sent.
    #[command(flatten)]
    pub options: Options,

    /// Write the summary as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// How events are sent.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The service
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,

    /// Events in a request
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,

    /// Requests at the same time
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CONCURRENCY, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub concurrency: u16,

    /// How often a batch is tried before it is given up
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TRIES, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,

    /// The wait before the second try, without an answer that names one; it doubles with every try.
    #[arg(skip = DEFAULT_BACKOFF)]
    pub backoff: Duration,
}

const DEFAULT_URL: &str = "http://127.0.0.1:5000";
/// The service's own default limit.
const DEFAULT_BATCH: u32 = 1_000;
/// Enough to keep the service busy while it waits for its disk, and little enough to hold a few megabytes at most.
const DEFAULT_CONCURRENCY: u16 = 8;
/// With the default back-off, a service is given about half a minute to come up again.
const DEFAULT_TRIES: u32 = 12;
const DEFAULT_BACKOFF: Duration = Duration::from_millis(100);

impl Default for Options {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            batch: DEFAULT_BATCH,
            concurrency: DEFAULT_CONCURRENCY,
            tries: DEFAULT_TRIES,
            backoff: DEFAULT_BACKOFF,
        }
    }
}

/// Delivers the files that `args` name, shows how far it is when standard error is a terminal, and writes a summary to
/// standard output.
///
/// # Errors
/// When a file cannot be read or something could not be delivered; the summary of what was is written all the same.
pub async fn run(args: LoadArgs) -> anyhow::Result<Summary> {
    let progress = progress::of_files(&args.files);
    let (files, reading) = (args.files, ProgressBar::clone(&progress));
    let summary =
        deliver(&args.options, &progress, move |batcher| input::read(&files, &reading, batcher))
            .await?;
    drop(progress);
    cli::print_outcome(&summary, args.json, &summary).context("cannot write the summary")?;
    summary.into_result()
}

/// Delivers `lines`, each an event without its newline, and moves `bar` by one for each line sent.
///
/// # Errors
/// When the URL cannot be used. That something could not be delivered stands in the summary: see [`Summary::into_result`].
pub async fn load_lines<I>(
    lines: I,
    options: &Options,
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
    deliver(options, bar, feed).await
}

/// Runs `feed` on a thread that may block, and sends the batches that come of it.
async fn deliver(
    options: &Options,
    bar: &ProgressBar,
    feed: impl FnOnce(&mut Batcher) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Summary> {
    let client = Client::new(options)?;
    let (batches, mut fed) = mpsc::channel(usize::from(options.concurrency));
    let most = options.batch as usize;
    let feeding = tokio::task::spawn_blocking(move || {
        let mut batcher = Batcher::new(most, batches);
        let fed = feed(&mut batcher);
        (fed, batcher.finish())
    });

    let begun = Instant::now();
    let mut summary = Summary::default();
    send_all(&client, usize::from(options.concurrency), &mut fed, &mut summary, |summary| {
        let rate = summary.settled() as f64 / begun.elapsed().as_secs_f64();
        bar.set_message(HumanCount(rate as u64).to_string());
    })
    .await;
    let (fed, left) = feeding.await.context("the reader of the events failed")?;
    summary.too_long(left.too_long);
    summary.undelivered(left.unwanted);
    summary.elapsed = begun.elapsed();
    if let Err(error) = fed {
        summary.fail(format!("{error:#}"));
    }
    Ok(summary)
}

/// Sends batches, `concurrency` at a time, until there is none left. After the first that cannot be delivered no other is
/// begun, and what was ready to be sent is counted as undelivered.
async fn send_all(
    client: &Client,
    concurrency: usize,
    fed: &mut mpsc::Receiver<Batch>,
    summary: &mut Summary,
    show: impl Fn(&Summary),
) {
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            batch = fed.recv(), if sending.len() < concurrency => match batch {
                Some(batch) if summary.failure.is_none() => sending.push(client.deliver(batch)),
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
