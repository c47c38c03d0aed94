//! From the topic to the rows: rounds of the bare driver and the service, in new tables each time.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};

use super::{
    bare_store,
    programs::{Programs, flags, median, setup},
    stack::Stack,
    topic,
};
use crate::{
    load,
    machine::Machine,
    report, round,
    service::{Service, cpu_seconds},
};

/// Measured rounds. A round runs the bare driver and the service once each, so that a change in the
/// machine's speed affects both.
pub(super) const ROUNDS: usize = 5;
/// Rounds before those, to warm up the servers: their JIT compilers work for minutes, on exactly
/// the requests that are sent.
pub(super) const WARMING: usize = 3;

/// One pass over all events of a data set, or batches.
pub(super) struct Pass {
    pub(super) events_per_second: f64,
    /// CPU seconds of the client process.
    pub(super) cpu_seconds: f64,
    pub(super) servers_cpu_seconds: f64,
    /// CPU time that the host gave to other guests.
    pub(super) steal_percent: f64,
}

/// One pass of the bare driver and one of the service.
struct Round {
    bare: Pass,
    ours: Pass,
    peak_memory_mb: u64,
}

/// Runs all rounds, and returns the keyspace of the last one.
pub(super) async fn measure(
    programs: &Programs,
    stack: &Stack,
    file: &Path,
    events: u64,
) -> anyhow::Result<String> {
    let mut backlog = Backlog::fill(stack, file, events).await?;
    let steps = bare_store::steps(file)?;
    let mut rounds = Vec::new();
    for number in 1..=WARMING + ROUNDS {
        backlog.new_keyspace(programs).await?;
        let bare = insert(stack, &backlog.keyspace, &steps).await?;
        let (ours, peak_memory_mb) = backlog.consume(programs).await?;
        report(json!({
            "figure": if number <= WARMING { "warm-up round" } else { "round" },
            "bare_driver": bare.figure(), "service": ours.figure(),
            "of_the_bare_driver": round(ours.events_per_second / bare.events_per_second),
        }))?;
        rounds.push(Round { bare, ours, peak_memory_mb });
    }
    rounds.drain(..WARMING);
    let middle = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    report(json!({
        "figure": "a backlog in the topic, from the start of the consumer until the lag is 0",
        "events": events, "events_per_second": middle(|round| round.ours.events_per_second).round(),
        "bare_same_rows_and_reads_events_per_second": middle(|round| round.bare.events_per_second).round(),
        // The ratio within each round: the speed of the machine changes over minutes.
        "of_the_bare_driver": round(middle(|round| round.ours.events_per_second / round.bare.events_per_second)),
        "peak_memory_mb": rounds.iter().map(|round| round.peak_memory_mb).max(),
        "service_cpu_seconds": round(middle(|round| round.ours.cpu_seconds)),
        "servers_cpu_seconds": round(middle(|round| round.ours.servers_cpu_seconds)),
    }))?;
    Ok(backlog.keyspace)
}

/// A data set in a topic, which passes turn into rows.
pub(super) struct Backlog<'a> {
    stack: &'a Stack,
    events: u64,
    /// The number of passes that began.
    passes: usize,
    /// The keyspace of the last pass.
    pub(super) keyspace: String,
}

impl<'a> Backlog<'a> {
    /// Produces the data set to the topic `bench`.
    pub(super) async fn fill(stack: &'a Stack, file: &Path, events: u64) -> anyhow::Result<Self> {
        let produced = topic::fill(&stack.brokers, "bench", file).await?;
        report(
            json!({ "figure": "bare driver of Kafka, produced and acknowledged", "events_per_second": produced.round() }),
        )?;
        Ok(Self { stack, events, passes: 0, keyspace: String::new() })
    }

    /// Creates a keyspace and removes the one before, so that the servers hold the same amount of
    /// data in each pass. Waits until the servers are idle.
    async fn new_keyspace(&mut self, programs: &Programs) -> anyhow::Result<()> {
        if !self.keyspace.is_empty() {
            bare_store::remove(&self.stack.nodes, &self.keyspace).await?;
        }
        self.passes += 1;
        self.keyspace = format!("bench_{}", self.passes);
        setup(programs, self.stack, &self.keyspace)?;
        self.stack.settle().await
    }

    /// Consumes the whole topic into a new keyspace with a new consumer group of the same name.
    /// Returns the peak memory in MB too.
    pub(super) async fn consume(&mut self, programs: &Programs) -> anyhow::Result<(Pass, u64)> {
        self.new_keyspace(programs).await?;
        let (servers_before, machine) = (self.stack.cpu_seconds()?, Machine::read()?);
        let mut args = flags(self.stack, &self.keyspace);
        args.extend(["--role=consumer".to_owned(), "--kafka-topic=bench".to_owned()]);
        args.push(format!("--kafka-group={}", self.keyspace));
        let begun = Instant::now();
        let service = Service::start(&programs.ingest, args, &programs.client).await?;
        load::drain_since(begun, &service, self.events).await?;
        let pass = Pass {
            events_per_second: self.events as f64 / begun.elapsed().as_secs_f64(),
            cpu_seconds: service.cpu_seconds()?,
            servers_cpu_seconds: self.stack.cpu_seconds()? - servers_before,
            steal_percent: machine.since()?.stolen,
        };
        Ok((pass, service.peak_memory_mb()?))
    }
}

impl Pass {
    pub(super) fn figure(&self) -> Value {
        json!({
            "events_per_second": self.events_per_second.round(), "cpu_seconds": round(self.cpu_seconds),
            "servers_cpu_seconds": round(self.servers_cpu_seconds), "steal_percent": self.steal_percent,
        })
    }
}

/// Writes the rows of `steps` with the bare driver.
async fn insert(stack: &Stack, keyspace: &str, steps: &[bare_store::Step]) -> anyhow::Result<Pass> {
    let this = std::process::id();
    let (before, servers_before, machine) =
        (cpu_seconds(this)?, stack.cpu_seconds()?, Machine::read()?);
    Ok(Pass {
        events_per_second: bare_store::run(&stack.nodes, keyspace, steps).await?,
        cpu_seconds: cpu_seconds(this)? - before,
        servers_cpu_seconds: stack.cpu_seconds()? - servers_before,
        steal_percent: machine.since()?.stolen,
    })
}
