//! `bookend demo`: the service with artificial data and its replies, for a first look.
//!
//! The data directory is temporary and is removed when the demo ends.

use std::{ffi::OsString, future::Future, path::Path, time::Duration};

use anyhow::Context;
use indicatif::HumanCount;
use ingest::metrics::{LAG, RECORDS_HANDLED};
use shared::{clock::Clock, config::Mistakes, http::DrainEnd, progress::Progress};

use crate::{
    client::ClientOptions,
    generate::{Dataset, GenerateArgs},
    load::{self, LoadOptions, Summary},
    serve::{self, ServeConfig},
};

mod replies;

/// The longest time for the service to process the loaded events.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The interval at which its metrics are read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The arguments of `bookend demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub listen: OsString,

    /// `open`: let everybody use a demo that other machines can reach
    #[arg(long, value_name = "MODE")]
    pub access: Option<OsString>,

    /// File of API keys; every request then needs a key
    #[arg(long, value_name = "FILE")]
    pub keys: Option<OsString>,

    /// Number of sessions to generate
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub sessions: u32,

    /// Seed of the random numbers; the same seed gives the same sessions
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// Exit after the replies instead of continuing to serve
    #[arg(long)]
    pub once: bool,

    /// How the demo sends its own requests.
    #[command(flatten)]
    pub client: ClientOptions,
}

impl DemoArgs {
    /// The arguments of `serve` for a service with its data in `dir`.
    pub fn settings(&self, dir: &Path) -> Vec<OsString> {
        let embedded = ["serve", "--log=embedded", "--store=embedded", "--drain-window=0s"];
        let own = [
            ("--data-dir", Some(dir.into())),
            ("--listen", Some(self.listen.clone())),
            ("--access", self.access.clone()),
            ("--keys", self.keys.clone()),
        ];
        let own = own.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?]));
        embedded.map(OsString::from).into_iter().chain(own.flatten()).collect()
    }

    /// Reads the API key from the environment. A demo whose service has keys needs one itself.
    pub fn read_key(&mut self, config: &ServeConfig) -> Result<(), Mistakes> {
        self.client.read_key()?;
        if config.process.access.keys.is_some() && self.client.key.is_none() {
            let mistake = "--keys: the demo needs a key for its own requests, with the rights \
                           ingest, read and operate; set BOOKEND_API_KEY or BOOKEND_API_KEY_FILE";
            return Err(Mistakes(vec![mistake.to_owned()]));
        }
        Ok(())
    }
}

/// Starts the service, loads data, prints replies, and serves until `shutdown`.
pub async fn run(
    args: DemoArgs,
    config: ServeConfig,
    shutdown: impl Future<Output = DrainEnd> + Send + 'static,
) -> anyhow::Result<()> {
    let listeners = config.process.listen().await?;
    let scheme = if config.process.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listeners.main.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let once = args.once;
    let serving = tokio::spawn(serve::run(config, listeners, async move {
        tokio::select! {
            end = shutdown => end,
            // The sender is dropped without a message if the demo continues to serve.
            Ok(()) = stopped => DrainEnd::at_once(),
        }
    }));
    let shown = show(&args, &url).await;
    if once || shown.is_err() {
        stop.send(()).ok();
    }
    let served = serving.await.context("the task of the service failed")?;
    shown.and(served)
}

async fn show(args: &DemoArgs, url: &str) -> anyhow::Result<()> {
    let data = GenerateArgs { sessions: args.sessions, seed: args.seed, ..GenerateArgs::default() };
    let data = Dataset::new(&data, Clock::machine().now());
    let events = data.len() as u64;
    replies::say(format_args!(
        "Bookend listens on {url}; loading {} events of an artificial month",
        HumanCount(events)
    ))?;
    let queries = replies::QueryClient::new(url, &args.client)?;
    let client = args.client.clone();
    let options = LoadOptions { url: url.to_owned(), client, ..LoadOptions::default() };
    let template = "loading {wide_bar} {human_pos}/{human_len} events, {msg} events/s";
    let progress = Progress::new(Some(events), template);
    let summary = load::load_lines(data.into_lines(), &options, &progress).await?.into_result()?;
    drop(progress);
    wait_until_processed(&queries, &summary).await?;
    replies::say(format_args!(
        "{} events accepted in {:.1} s and processed.\n",
        HumanCount(summary.accepted),
        summary.elapsed.as_secs_f64()
    ))?;
    replies::show(&queries).await?;
    match args.once {
        true => Ok(()),
        false => replies::say(format_args!(
            "\nOpen {url}/dashboard for the dashboard, or {url}/ to try each call.\n\
             The service runs until you press Ctrl-C, which also deletes the data."
        )),
    }
}

/// Waits until the metrics of the service show that every event is processed.
async fn wait_until_processed(
    client: &replies::QueryClient,
    summary: &Summary,
) -> anyhow::Result<()> {
    let progress =
        Progress::new(Some(summary.accepted), "pairing {wide_bar} {human_pos}/{human_len} events");
    let processed = async {
        loop {
            let metrics = client.text("/metrics").await?;
            let handled = replies::sum(&metrics, RECORDS_HANDLED);
            progress.set_position(handled);
            if handled >= summary.accepted && replies::sum(&metrics, LAG) == 0 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(TIMEOUT, processed)
        .await
        .context("the service did not process all events in time")?
}
