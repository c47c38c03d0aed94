//! The figures on real Kafka and Cassandra, one node of each beside the service, each with what the bare drivers reach.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context;
use serde_json::{Value, json};

use self::stack::Stack;
use crate::{
    answers, latency, load,
    machine::Machine,
    report, round,
    service::{Service, cpu_seconds},
};

mod bare_store;
pub(crate) mod http;
mod stack;
mod topic;

/// How many batches of ten events each way of taking them is given in a round.
const BATCHES: u32 = 20_000;
/// How many rounds are measured, each of both turn and turn about, so that a machine that changes its speed changes both.
const ROUNDS: usize = 5;
/// How many rounds of that go before, to make the servers warm: their compilers work for minutes, on what is asked of them in
/// just the way in which it is asked.
const WARMING: usize = 3;

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
    for topic in ["bare", "bench"] {
        setup(programs, &stack, topic)?;
    }
    takes(programs, &stack).await?;
    let keyspace = rows(programs, &stack, file, events).await?;
    reads(programs, &stack, &keyspace, file, requests).await
}

/// Makes a keyspace, and topics of the same name.
fn setup(programs: &Programs, stack: &Stack, name: &str) -> anyhow::Result<()> {
    let mut setup = Command::new(&programs.bookend);
    setup.args([
        "setup",
        "--log=kafka",
        "--store=cassandra",
        "--kafka-replication=1",
        "--cassandra-replication=1",
    ]);
    setup.args(flags(stack, name)).arg(format!("--kafka-topic={name}"));
    let done = setup.output()?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
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
    command.args([
        "--role=http",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        "--kafka-topic=bare",
    ]);
    command.args(["--kafka-brokers", &stack.brokers]);
    let our_endpoint = Service::run(command).await?;
    let mut rounds = Vec::new();
    for _ in 0..WARMING + ROUNDS {
        let bare = http::measure(&bare_endpoint.url, BATCHES).await?;
        rounds.push((bare, http::measure(&our_endpoint.url, BATCHES).await?));
    }
    rounds.drain(..WARMING);
    let middle = |figure: fn(&(f64, f64)) -> f64| median(rounds.iter().map(figure).collect());
    report(json!({
        "figure": "POST of 10 events to the topic, 16 connections",
        "events_per_second": middle(|(_, ours)| *ours).round(),
        "bare_produce_and_wait_events_per_second": middle(|(bare, _)| *bare).round(),
        "of_the_bare_driver": round(middle(|(bare, ours)| ours / bare)),
        "peak_memory_mb": our_endpoint.peak_memory_mb()?,
    }))?;
    bare_endpoint.kill()?;
    our_endpoint.kill()
}

/// What it took to make all rows.
struct Pass {
    events_per_second: f64,
    /// Of the process that asks the servers.
    cpu_seconds: f64,
    servers_cpu_seconds: f64,
    /// What the host gave to somebody else meanwhile.
    steal_percent: f64,
}

/// A pass of each.
struct Round {
    bare: Pass,
    ours: Pass,
    peak_memory_mb: u64,
}

/// Topic → rows, each time into new tables; answers in which keyspace the last ones are.
async fn rows(
    programs: &Programs,
    stack: &Stack,
    file: &Path,
    events: u64,
) -> anyhow::Result<String> {
    let produced = topic::fill(&stack.brokers, "bench", file).await?;
    report(
        json!({ "figure": "bare driver of Kafka, produced and acknowledged", "events_per_second": produced.round() }),
    )?;
    let steps = bare_store::steps(file)?;
    let (mut rounds, mut keyspace) = (Vec::new(), String::new());
    for number in 1..=WARMING + ROUNDS {
        keyspace = new_keyspace(programs, stack, &keyspace, format!("bare_{number}")).await?;
        let bare = ask(stack, &keyspace, &steps).await?;
        keyspace = new_keyspace(programs, stack, &keyspace, format!("bench_{number}")).await?;
        let (ours, peak_memory_mb) = consume(programs, stack, &keyspace, events).await?;
        report(json!({
            "figure": if number <= WARMING { "a round that makes the servers warm" } else { "a round" },
            "bare_driver": bare.figure(), "service": ours.figure(),
            "of_the_bare_driver": round(ours.events_per_second / bare.events_per_second),
        }))?;
        rounds.push(Round { bare, ours, peak_memory_mb });
    }
    rounds.drain(..WARMING);
    let middle = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    report(json!({
        "figure": "events that wait in the topic, from the start of the consumer to the last session answered",
        "events": events, "events_per_second": middle(|round| round.ours.events_per_second).round(),
        "bare_same_rows_and_reads_events_per_second": middle(|round| round.bare.events_per_second).round(),
        // Of each round's own: the machine is another one some minutes later.
        "of_the_bare_driver": round(middle(|round| round.ours.events_per_second / round.bare.events_per_second)),
        "peak_memory_mb": rounds.iter().map(|round| round.peak_memory_mb).max(),
        "service_cpu_seconds": round(middle(|round| round.ours.cpu_seconds)),
        "servers_cpu_seconds": round(middle(|round| round.ours.servers_cpu_seconds)),
    }))?;
    Ok(keyspace)
}

impl Pass {
    fn figure(&self) -> Value {
        json!({
            "events_per_second": self.events_per_second.round(), "cpu_seconds": round(self.cpu_seconds),
            "servers_cpu_seconds": round(self.servers_cpu_seconds), "steal_percent": self.steal_percent,
        })
    }
}

/// Makes `keyspace` in place of the one before, so that every pass finds the servers with as much to keep, and waits until they
/// are at rest.
async fn new_keyspace(
    programs: &Programs,
    stack: &Stack,
    before: &str,
    keyspace: String,
) -> anyhow::Result<String> {
    if !before.is_empty() {
        bare_store::remove(&stack.nodes, before).await?;
    }
    setup(programs, stack, &keyspace)?;
    stack.settle().await?;
    Ok(keyspace)
}

/// Has the bare driver make the rows of `steps`.
async fn ask(stack: &Stack, keyspace: &str, steps: &[bare_store::Step]) -> anyhow::Result<Pass> {
    let this = std::process::id();
    let (before, servers_before, machine) =
        (cpu_seconds(this)?, stack.cpu_seconds()?, Machine::look()?);
    Ok(Pass {
        events_per_second: bare_store::run(&stack.nodes, keyspace, steps).await?,
        cpu_seconds: cpu_seconds(this)? - before,
        servers_cpu_seconds: stack.cpu_seconds()? - servers_before,
        steal_percent: machine.since()?.stolen,
    })
}

/// Has a new consumer group, of the keyspace's name, answer all that lies in the topic; tells its peak memory, in MB, too.
async fn consume(
    programs: &Programs,
    stack: &Stack,
    keyspace: &str,
    events: u64,
) -> anyhow::Result<(Pass, u64)> {
    let (servers_before, machine) = (stack.cpu_seconds()?, Machine::look()?);
    let mut command = Command::new(&programs.ingest);
    command.args([
        "--role=consumer",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        "--kafka-topic=bench",
    ]);
    command.args(flags(stack, keyspace)).arg(format!("--kafka-group={keyspace}"));
    let begun = Instant::now();
    let service = Service::run(command).await?;
    load::drain_since(begun, &service, events).await?;
    let pass = Pass {
        events_per_second: events as f64 / begun.elapsed().as_secs_f64(),
        cpu_seconds: service.cpu_seconds()?,
        servers_cpu_seconds: stack.cpu_seconds()? - servers_before,
        steal_percent: machine.since()?.stolen,
    };
    let peak_memory_mb = service.peak_memory_mb()?;
    service.kill()?;
    Ok((pass, peak_memory_mb))
}

/// Rows → answers.
async fn reads(
    programs: &Programs,
    stack: &Stack,
    keyspace: &str,
    file: &Path,
    requests: u32,
) -> anyhow::Result<()> {
    let mut command = Command::new(&programs.query_api);
    command.args(["--listen=127.0.0.1:0", "--log-format=json"]);
    command.arg(format!("--cassandra-nodes={}", stack.nodes));
    command.arg(format!("--cassandra-keyspace={keyspace}"));
    let service = Service::run(command).await?;
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
