//! The arguments of `bookend load`.

use std::{path::PathBuf, time::Duration};

use crate::client::ClientOptions;

/// What to send, and how.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    /// Files of events, optionally compressed (gzip, bzip2, Zstandard); `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How to send it.
    #[command(flatten)]
    pub options: LoadOptions,

    /// Write each rejected or discarded event to FILE, as one line of JSON
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// Stop at the first rejected event, with exit status 1
    #[arg(long)]
    pub strict: bool,

    /// Print the summary as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// How to send events.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadOptions {
    /// Base URL of the service
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,

    /// How to prove who sends, and whom to trust.
    #[command(flatten)]
    pub client: ClientOptions,

    /// Maximum events per request
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,

    /// Number of concurrent requests
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CONCURRENCY, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub concurrency: u16,

    /// Maximum attempts to send a request
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TRIES, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,

    /// The pause before the second attempt if the reply names none; it doubles with each attempt.
    #[arg(skip = DEFAULT_BACKOFF)]
    pub backoff: Duration,
}

const DEFAULT_URL: &str = "http://127.0.0.1:5000";
/// The default limit of the service.
const DEFAULT_BATCH: u32 = 1_000;
/// Keeps the service busy while it waits for its disk, and takes at most a few megabytes.
const DEFAULT_CONCURRENCY: u16 = 8;
/// With the default backoff, a service has about half a minute to restart.
const DEFAULT_TRIES: u32 = 12;
const DEFAULT_BACKOFF: Duration = Duration::from_millis(100);

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            client: ClientOptions::default(),
            batch: DEFAULT_BATCH,
            concurrency: DEFAULT_CONCURRENCY,
            tries: DEFAULT_TRIES,
            backoff: DEFAULT_BACKOFF,
        }
    }
}
