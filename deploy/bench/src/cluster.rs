//! The figures on real Kafka and Cassandra, one node of each beside the service, each with what the bare drivers reach.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context;
use serde_json::json;

use self::stack::Stack;
use crate::{answers, latency, load, report, round, service::Service};

mod bare_store;
pub(crate) mod http;
mod stack;
mod topic;

/// How many batches of ten events each way of taking them is given in a round.
const BATCHES: u32 = 20_000;
/// How many rounds are measured.
const ROUNDS: usize = 3;

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) bookend: PathBuf,
    pub(crate) ingest: PathBuf,
    pub(crate) query_api: PathBuf,
    /// This one.
    pub(crate) bench: PathBuf,
}

pub(crate) async fn measure(
    programs: &Programs,
    commitlog: &str,
    file: &Path,
    events: u64,
    requests: u32,
    dir: &Path,
) -> anyhow::Result<()> {
    let stack = Stack::up(&dir.join("stack"), commitlog)?;
    for name in ["warm", "bare", "bench"] {
        let mut setup = Command::new(&programs.bookend);
        setup.args([
            "setup",
            "--log=kafka",
            "--store=cassandra",
            "--kafka-replication=1",
            "--cassandra-replication=1",
        ]);
        setup.args(flags(&stack, name)).arg(format!("--kafka-topic={name}"));
        anyhow::ensure!(setup.status()?.success(), "the topics and tables could not be made");
    }
    takes(programs, &stack).await?;
    rows(programs, &stack, file, events).await?;
    reads(programs, &stack, file, requests).await
}

/// What points a program at the servers.
fn flags(stack: &Stack, keyspace: &str) -> Vec<String> {
    vec![
        format!("--kafka-brokers={}", stack.brokers),
        format!("--cassandra-nodes={}", stack.nodes),
        format!("--cassandra-keyspace={keyspace}"),
    ]
}

/// HTTP → topic.
async fn takes(programs: &Programs, stack: &Stack) -> anyhow::Result<()> {
    let mut command = Command::new(&programs.bench);
    command.args(["bare-endpoint", &stack.brokers, "bare"]);
    let bare_endpoint = Service::run(command).await?;
    let mut command = Command::new(&programs.ingest);
    command.args(["--role=http", "--listen=127.0.0.1:0", "--log-format=json", "--kafka-topic=bare"]);
    command.args(["--kafka-brokers", &stack.brokers]);
    let our_endpoint = Service::run(command).await?;
    // Turn and turn about, so that a machine that changes its speed changes both; the first round makes the broker warm.
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        bare.push(http::measure(&bare_endpoint.url, BATCHES).await?);
        ours.push(http::measure(&our_endpoint.url, BATCHES).await?);
    }
    let (bare, ours) = (median(bare.split_off(1)), median(ours.split_off(1)));
    report(json!({
        "figure": "POST of 10 events to the topic, 16 connections", "events_per_second": ours.round(),
        "bare_produce_and_wait_events_per_second": bare.round(), "of_the_bare_driver": round(ours / bare),
        "peak_memory_mb": our_endpoint.peak_memory_mb()?,
    }))?;
    bare_endpoint.kill()?;
    our_endpoint.kill()
}

/// Topic → rows.
async fn rows(programs: &Programs, stack: &Stack, file: &Path, events: u64) -> anyhow::Result<()> {
    let bare = bare_store::measure(stack, ["warm", "bare"], file).await?;
    report(
        json!({ "figure": "bare driver of Cassandra, the same rows and reads", "events_per_second": bare.round() }),
    )?;
    let produced = topic::fill(&stack.brokers, "bench", file).await?;
    report(
        json!({ "figure": "bare driver of Kafka, produced and acknowledged", "events_per_second": produced.round() }),
    )?;

    stack.settle().await?;
    let before = stack.cpu_seconds()?;
    let mut command = Command::new(&programs.ingest);
    command.args(["--role=consumer", "--listen=127.0.0.1:0", "--log-format=json", "--kafka-topic=bench"]);
    command.args(flags(stack, "bench"));
    let begun = Instant::now();
    let service = Service::run(command).await?;
    load::drain_since(begun, &service, events).await?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    let servers = stack.cpu_seconds()? - before;
    report(json!({
        "figure": "events that wait in the topic, from the start of the consumer to the last session answered",
        "events": events, "events_per_second": rate.round(), "of_the_bare_driver": round(rate / bare),
        "peak_memory_mb": service.peak_memory_mb()?,
        "service_cpu_seconds": round(service.cpu_seconds()?), "servers_cpu_seconds": round(servers),
    }))?;
    service.kill()
}

/// Rows → answers.
async fn reads(programs: &Programs, stack: &Stack, file: &Path, requests: u32) -> anyhow::Result<()> {
    let mut command = Command::new(&programs.query_api);
    command.args(["--listen=127.0.0.1:0", "--log-format=json", "--cassandra-keyspace=bench"]);
    command.arg(format!("--cassandra-nodes={}", stack.nodes));
    let service = Service::run(command).await?;
    answers::measure(&service).await?;
    let begun = Instant::now();
    let month = service.get("/user/last-events?days=31").await?.len();
    report(json!({
        "figure": "starts of the whole data set, streamed", "seconds": round(begun.elapsed().as_secs_f64()), "bytes": month,
        "peak_memory_mb": service.peak_memory_mb()?,
    }))?;
    let users = answers::users(file)?;
    let bare = bare_store::Reader::connect(&stack.nodes, "bench").await?;
    let nothing = || service.get("/livez");
    let read = |number| bare.last_sessions(answers::drawn(&users, number));
    report(
        latency::measure(requests, read, nothing)
            .await?
            .figure("bare driver: a user's newest rows, 1,000 requests/s"),
    )?;
    let ask = |number| service.get(&answers::last_sessions(&users, number));
    report(
        latency::measure(requests, ask, nothing)
            .await?
            .figure("last 20 sessions of random users, 1,000 requests/s"),
    )?;
    service.kill()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The programs beside `bookend`.
pub(crate) fn programs(bookend: &Path, bench: PathBuf) -> anyhow::Result<Programs> {
    let beside = |name: &str| {
        let path = bookend.with_file_name(name);
        anyhow::ensure!(
            path.exists(),
            "{} is missing; build it with `cargo build --release --workspace`",
            path.display()
        );
        Ok(path)
    };
    Ok(Programs {
        bookend: bookend.to_owned(),
        ingest: beside("ingest")?,
        query_api: beside("query-api")?,
        bench,
    })
}

/// A line of a data set: its user and its text.
fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(String, Vec<u8>)>>> {
    use std::io::{BufRead, BufReader};
    let lines = BufReader::new(std::fs::File::open(file)?).lines();
    Ok(lines.map(|line| {
        let line = line?.into_bytes();
        let event = shared::event::SessionEvent::parse(&line).ok().context("no event")?;
        Ok((event.user().to_string(), line))
    }))
}
