//! `bookend demo`: the service with data in it, and its answers, for someone who sees it for the first time.
//!
//! The data directory is temporary and goes when the demo ends.

use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::Context;
use indicatif::HumanCount;
use ingest::metrics::{LAG, RECORDS_HANDLED};
use shared::{cli, clock::Clock, progress::Progress};
use tokio::net::TcpListener;

use crate::{
    generate::{Dataset, GenerateArgs},
    load::{self, LoadOptions, Summary},
    serve::{self, ServeConfig},
};

mod answers;

/// How long the service may take to answer everything that was loaded.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What `bookend demo` shows.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,

    /// How many sessions to make
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub sessions: u32,

    /// The seed number of the data set: the same one gives the same sessions
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// Stop after the answers instead of serving on
    #[arg(long)]
    pub once: bool,
}

/// Serves, loads, shows the answers, and goes on serving until `shutdown`.
///
/// # Errors
/// When the service cannot run or the data cannot be loaded.
pub async fn run(
    args: DemoArgs,
    config: ServeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("cannot listen on {}; name a free port, as in --listen 127.0.0.1:5001", args.listen)
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let once = args.once;
    let serving = tokio::spawn(serve::run(config, listener, async move {
        tokio::select! {
            () = shutdown => {}
            // Dropped without a word when the demo goes on serving.
            Ok(()) = stopped => {}
        }
    }));
    let shown = show(&args, &url).await;
    if once || shown.is_err() {
        stop.send(()).ok();
    }
    let served = serving.await.context("the service was lost")?;
    shown.and(served)
}

async fn show(args: &DemoArgs, url: &str) -> anyhow::Result<()> {
    let data = GenerateArgs { sessions: args.sessions, seed: args.seed, ..GenerateArgs::default() };
    let data = Dataset::new(&data, Clock::machine().now());
    let events = data.len() as u64;
    say(format_args!(
        "Bookend serves on {url}; loading {} events of a made-up month",
        HumanCount(events)
    ))?;
    let options = LoadOptions { url: url.to_owned(), ..LoadOptions::default() };
    let template = "loading {wide_bar} {human_pos}/{human_len} events, {msg} events/s";
    let progress = Progress::new(Some(events), template);
    let summary = load::load_lines(data.into_lines(), &options, &progress).await?.into_result()?;
    drop(progress);
    let client = answers::Client::new(url)?;
    wait_until_answered(&client, &summary).await?;
    say(format_args!(
        "{} events accepted in {:.1} s, and answered.\n",
        HumanCount(summary.accepted),
        summary.elapsed.as_secs_f64()
    ))?;
    answers::show(&client).await?;
    match args.once {
        true => Ok(()),
        false => say(format_args!(
            "\nIn a browser: {url}/dashboard shows all of it, {url}/ lets you try each call.\n\
             Serving until you press Ctrl-C; the data goes with it."
        )),
    }
}

/// The service says itself how far behind it is.
async fn wait_until_answered(client: &answers::Client, summary: &Summary) -> anyhow::Result<()> {
    let progress =
        Progress::new(Some(summary.accepted), "pairing {wide_bar} {human_pos}/{human_len} events");
    let answered = async {
        loop {
            let metrics = client.text("/metrics").await?;
            let handled = answers::sum(&metrics, RECORDS_HANDLED);
            progress.set_position(handled);
            if handled >= summary.accepted && answers::sum(&metrics, LAG) == 0 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .context("the service did not answer everything in time")?
}

fn say(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    Ok(cli::print(format!("{text}\n").as_bytes())?)
}
