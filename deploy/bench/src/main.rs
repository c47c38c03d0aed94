//! Measures the figures of the README and prints each as one line of JSON.
//!
//! The service is the release program in its own process and is used over HTTP. The bare engine
//! writes the same rows in the same run, so that the ratio of both is comparable between machines.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use shared::clock::Clock;
use standalone::{
    client::ClientOptions,
    generate::{Dataset, GenerateArgs},
};

mod answers;
mod cluster;
mod engine;
mod latency;
mod load;
mod machine;
mod service;
mod skew;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Bookend and prints each figure as one line of JSON.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Servers to measure on [default: the embedded log and store]
    #[command(subcommand)]
    on: Option<On>,

    /// Release program to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/bookend")]
    program: PathBuf,

    /// Number of sessions; the default is the size of the original data
    #[arg(long, value_name = "N", default_value_t = GenerateArgs::default().sessions)]
    sessions: u32,

    /// Number of requests per latency, at 1,000 per second
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    requests: u32,

    /// Directory for data; its disk is measured
    #[arg(long, value_name = "DIR", default_value = "target")]
    dir: PathBuf,

    #[command(flatten)]
    client: ClientOptions,
}

const SKEW: &str = "\
Each line of JSON is one figure. Figures with a goal say whether it is met. A query that is refused
or takes longer than its deadline has its error instead of a latency. On two cores, all parts take 6
minutes on the embedded store and about 40 minutes on Cassandra.

  bench skew                            all parts on the embedded log and store
  bench skew --cassandra fairness hour  two parts on Cassandra
  bench skew --shrink 100               a trial with one event of a hundred";

#[derive(Subcommand, Debug)]
enum On {
    /// Measure on Kafka and Cassandra, started by deploy/stack; run it in the root of the project
    Cluster {
        /// When Cassandra syncs: batch (before it acknowledges) or periodic (its default, every 10
        /// s)
        #[arg(long, value_name = "MODE", default_value = "batch", value_parser = ["batch", "periodic"])]
        commitlog: String,
        /// Compare with the older programs in this directory, in turns, and measure nothing else
        #[arg(long, value_name = "DIR")]
        old: Option<PathBuf>,
        /// Number of such comparisons, after three that warm the servers up
        #[arg(long, value_name = "N", default_value_t = 9, requires = "old")]
        pairs: usize,
    },
    /// Measure skewed data and dear queries, each figure beside its baseline of the same run
    #[command(after_help = SKEW)]
    Skew {
        /// Parts to measure [default: all]
        #[arg(value_enum, value_name = "PART")]
        parts: Vec<skew::Part>,
        /// Use Cassandra, started by deploy/stack, as the store; run it in the root of the project
        #[arg(long)]
        cassandra: bool,
        /// Divide all numbers of events by N, to try the command; figures need the default
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        shrink: u32,
    },
    /// Serve the minimal endpoint for comparison
    #[command(hide = true)]
    BareEndpoint {
        /// Bootstrap brokers
        brokers: String,
        /// Topic
        topic: String,
    },
}

fn main() -> anyhow::Result<()> {
    let mut args = Args::parse();
    args.client.read_key()?;
    if let Some(On::BareEndpoint { brokers, topic }) = &args.on {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(cluster::http::serve(brokers, topic));
    }
    let dir = tempfile::tempdir_in(&args.dir)
        .with_context(|| format!("cannot use {}", args.dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&args, dir.path()))
}

async fn measure(args: &Args, dir: &std::path::Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.program.exists(),
        "{} is missing; build it with `cargo build --release`, or name it with --program",
        args.program.display()
    );
    let find =
        |bookend: &Path| cluster::programs::find(bookend, std::env::current_exe()?, &args.client);
    if let Some(On::Skew { parts, cassandra, shrink }) = &args.on {
        let place = if *cassandra {
            let programs = find(&args.program)?;
            skew::Place::cassandra(programs, dir, *shrink)?
        } else {
            skew::Place::embedded(&args.program, &args.client, dir, *shrink)
        };
        return skew::measure(&place, parts).await;
    }
    let data = GenerateArgs { sessions: args.sessions, ..GenerateArgs::default() };
    let file = dir.join("events.ndjson");
    // The data ends at the present, so that no event is expired.
    let events = load::write(Dataset::new(&data, Clock::machine().now()), &file)?;
    if let Some(On::Cluster { commitlog, old, pairs }) = &args.on {
        let programs = find(&args.program)?;
        if let Some(old) = old {
            let old = find(&old.join("bookend"))?;
            return cluster::compare(&old, &programs, commitlog, &file, events, *pairs, dir).await;
        }
        return cluster::measure(&programs, commitlog, &file, events, args.requests, dir).await;
    }

    let bare = engine::measure(&file, &dir.join("bare"))?;
    report(json!({ "figure": "bare engine, same rows", "events_per_second": bare }))?;

    let data_dir = dir.join("loaded");
    let service = service::Service::serve(&args.program, &data_dir, &args.client).await?;
    let loaded = load::measure(&args.program, &service, &file, events).await?;
    report(json!({
        "figure": "from the first POST until the lag is 0",
        "events": events, "events_per_second": loaded.round(), "of_the_bare_engine": round(loaded / bare),
        "peak_memory_mb": service.peak_memory_mb()?,
    }))?;

    answers::measure(&service).await?;
    let users = answers::users(&file)?;
    let nothing = || service.get("/livez");
    let ask = |number| service.get(&answers::last_sessions(&users, number));
    let name = "last 20 sessions of random users, 1,000 requests/s, right after the load";
    report(latency::measure(name, args.requests, ask, nothing).await?)?;
    let settled = service.settle().await?;
    let name = "last 20 sessions of random users, 1,000 requests/s";
    let mut figure = latency::measure(name, args.requests, ask, nothing).await?;
    figure["settled_after_s"] = json!(round(settled.as_secs_f64()));
    report(figure)?;
    let post = |number| service.post(load::ten_events(number));
    let name = "POST of 10 events, durable, 1,000 requests/s";
    report(latency::measure(name, args.requests, post, nothing).await?)?;

    // Dropping the service kills its process.
    drop(service);
    let service = service::Service::serve(&args.program, &data_dir, &args.client).await?;
    report(
        json!({ "figure": "ready after kill -9 and a restart", "seconds": round(service.ready_after.as_secs_f64()) }),
    )?;
    drop(service);

    measure_backlog(args, &file, events, &dir.join("backlog")).await
}

/// Measures how fast a new process consumes the whole data set from the log.
async fn measure_backlog(
    args: &Args,
    file: &Path,
    events: u64,
    backlog: &Path,
) -> anyhow::Result<()> {
    load::write_backlog(file, backlog).await?;
    let service = service::Service::serve(&args.program, backlog, &args.client).await?;
    let drained = load::drain(&service, events).await?;
    report(json!({
        "figure": "a backlog of the whole data set, from the start until the lag is 0",
        "events_per_second": drained.round(), "ready_seconds": round(service.ready_after.as_secs_f64()),
        "peak_memory_mb": service.peak_memory_mb()?,
    }))
}

fn report(figure: Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{figure}")?;
    Ok(out.flush()?)
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
