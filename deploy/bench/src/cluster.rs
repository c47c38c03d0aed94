//! Benchmarks on real Kafka and Cassandra: one node of each beside the service. Each figure is
//! shown next to what the bare drivers reach.

use std::{path::Path, process::Command, time::Instant};

use serde_json::json;
use standalone::client::ClientOptions;

use self::{
    programs::{Programs, median, setup},
    rounds::{Backlog, ROUNDS, WARMING},
    stack::Stack,
};
use crate::{answers, latency, report, round, service::Service};

mod bare_store;
pub(crate) mod http;
mod pairs;
pub(crate) mod programs;
mod rounds;
pub(crate) mod stack;
mod topic;

/// Batches of ten events that each endpoint receives in a round.
const BATCHES: u32 = 20_000;

pub(crate) async fn measure(
    programs: &Programs,
    commitlog: &str,
    file: &Path,
    events: u64,
    requests: u32,
    dir: &Path,
) -> anyhow::Result<()> {
    let stack = Stack::up(&dir.join("stack"), commitlog)?;
    for topic in ["bare", "bench"] {
        setup(programs, &stack, topic)?;
    }
    endpoints(programs, &stack).await?;
    let keyspace = rounds::measure(programs, &stack, file, events).await?;
    reads(programs, &stack, &keyspace, file, requests).await
}

/// Compares `programs` with `old` ones in `count` pairs.
pub(crate) async fn compare(
    old: &Programs,
    programs: &Programs,
    commitlog: &str,
    file: &Path,
    events: u64,
    count: usize,
    dir: &Path,
) -> anyhow::Result<()> {
    let stack = Stack::up(&dir.join("stack"), commitlog)?;
    setup(programs, &stack, "bench")?;
    let mut backlog = Backlog::fill(&stack, file, events).await?;
    pairs::measure(old, programs, &stack, &mut backlog, count).await
}

/// From HTTP to the topic.
async fn endpoints(programs: &Programs, stack: &Stack) -> anyhow::Result<()> {
    let mut command = Command::new(&programs.bench);
    command.args(["bare-endpoint", &stack.brokers, "bare"]);
    let bare_endpoint = Service::run(command, &ClientOptions::default()).await?;
    let args = ["--role=http", "--kafka-topic=bare", "--kafka-brokers", &stack.brokers];
    let our_endpoint = Service::start(&programs.ingest, args, &programs.client).await?;
    let mut rounds = Vec::new();
    for _ in 0..WARMING + ROUNDS {
        let bare = http::measure(&bare_endpoint, BATCHES).await?;
        rounds.push((bare, http::measure(&our_endpoint, BATCHES).await?));
    }
    rounds.drain(..WARMING);
    let middle = |figure: fn(&(f64, f64)) -> f64| median(rounds.iter().map(figure).collect());
    report(json!({
        "figure": "POST of 10 events to the topic, 16 connections",
        "events_per_second": middle(|(_, ours)| *ours).round(),
        "bare_produce_and_wait_events_per_second": middle(|(bare, _)| *bare).round(),
        "of_the_bare_driver": round(middle(|(bare, ours)| ours / bare)),
        "peak_memory_mb": our_endpoint.peak_memory_mb()?,
    }))
}

/// From the rows to replies.
async fn reads(
    programs: &Programs,
    stack: &Stack,
    keyspace: &str,
    file: &Path,
    requests: u32,
) -> anyhow::Result<()> {
    let args = ["--cassandra-nodes", &stack.nodes, "--cassandra-keyspace", keyspace];
    let service = Service::start(&programs.query_api, args, &programs.client).await?;
    answers::measure(&service).await?;
    let begun = Instant::now();
    let month = service.get("/user/last-events?days=31").await?.len();
    report(json!({
        "figure": "starts of the whole data set, streamed", "seconds": round(begun.elapsed().as_secs_f64()), "bytes": month,
        "peak_memory_mb": service.peak_memory_mb()?,
    }))?;
    let users = answers::users(file)?;
    let bare = bare_store::Reader::connect(&stack.nodes, keyspace).await?;
    let nothing = || service.get("/livez");
    let read = |number| bare.last_sessions(answers::choose(&users, number));
    let name = "bare driver: a user's newest rows, 1,000 requests/s";
    report(latency::measure(name, requests, read, nothing).await?)?;
    let ask = |number| service.get(&answers::last_sessions(&users, number));
    let name = "last 20 sessions of random users, 1,000 requests/s";
    report(latency::measure(name, requests, ask, nothing).await?)
}
