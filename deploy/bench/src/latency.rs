//! Measures latency at a fixed rate. A request is due at a fixed time, and its latency counts from
//! then, so that waiting for earlier requests counts too.
//!
//! Beside every tenth request, a request for `/livez` measures the floor: the share of the machine
//! and the client. The floor and the stolen CPU time show how reliable a figure is.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::machine::{Machine, Usage};

/// The interval between the requests of [`measure`]: 1,000 per second.
const INTERVAL: Duration = Duration::from_millis(1);

/// One request for the floor per this many requests.
const FLOOR_EVERY: u32 = 10;

/// The latency of each request, sorted.
pub(crate) struct Latencies(Vec<Duration>);

/// How many requests to send, and the interval between them.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) requests: u32,
    pub(crate) interval: Duration,
}

/// The latencies of requests that were sent at a pace.
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    /// The latencies of the requests for the floor.
    floor: Latencies,
    usage: Usage,
}

/// Sends `requests` requests, one per millisecond, and returns the figure `name`. See [`at_pace`].
pub(crate) async fn measure<F, N>(
    name: &str,
    requests: u32,
    request: impl FnMut(u32) -> F,
    nothing: impl Fn() -> N,
) -> anyhow::Result<Value>
where
    F: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    N: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
{
    let pace = Pace { requests, interval: INTERVAL };
    Ok(at_pace(pace, request, nothing).await?.figure(name))
}

/// Sends requests at a `pace`, without waiting for earlier replies, and requests of `nothing`
/// beside them.
pub(crate) async fn at_pace<F, N>(
    Pace { requests, interval }: Pace,
    mut request: impl FnMut(u32) -> F,
    nothing: impl Fn() -> N,
) -> anyhow::Result<Measured>
where
    F: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    N: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
{
    let machine = Machine::read()?;
    let (pace, mut due) = mpsc::channel(requests as usize);
    // A thread, because the timer of the runtime has a resolution of one millisecond.
    let pacing = std::thread::spawn(move || {
        let begun = Instant::now();
        for number in 0..requests {
            let due = begun + interval * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // The measurement has failed.
            if pace.blocking_send((number, due)).is_err() {
                break;
            }
        }
    });
    let (mut in_flight, mut beside) = (JoinSet::new(), JoinSet::new());
    while let Some((number, due)) = due.recv().await {
        let request = request(number);
        in_flight.spawn(async move { request.await.map(|_| due.elapsed()) });
        if number % FLOOR_EVERY == 0 {
            let nothing = nothing();
            beside.spawn(async move { nothing.await.map(|_| due.elapsed()) });
        }
    }
    pacing.join().map_err(|_| anyhow::anyhow!("the pacing thread panicked"))?;
    let (latencies, floor) = (collect(in_flight).await?, collect(beside).await?);
    Ok(Measured { latencies, floor, usage: machine.since()? })
}

async fn collect(mut in_flight: JoinSet<anyhow::Result<Duration>>) -> anyhow::Result<Latencies> {
    let mut latencies = Vec::with_capacity(in_flight.len());
    while let Some(latency) = in_flight.join_next().await {
        latencies.push(latency??);
    }
    latencies.first().context("no request was sent")?;
    Ok(Latencies::new(latencies))
}

impl Measured {
    pub(crate) fn figure(&self, name: &str) -> Value {
        let mut figure = self.latencies.figure(name);
        figure["livez_p99_ms"] = json!(self.floor.at(0.99));
        figure["busy_percent"] = json!(self.usage.busy);
        figure["steal_percent"] = json!(self.usage.stolen);
        figure
    }
}

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    pub(crate) fn figure(&self, name: &str) -> Value {
        let mut figure = self.percentiles();
        figure["figure"] = json!(name);
        figure
    }

    pub(crate) fn percentiles(&self) -> Value {
        json!({
            "requests": self.0.len(), "p50_ms": self.at(0.50), "p95_ms": self.at(0.95),
            "p99_ms": self.at(0.99), "max_ms": self.at(1.0),
        })
    }

    /// The latency in milliseconds that a `share` of the requests does not exceed.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        crate::round(self.0.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0))
    }
}
