//! Latency at a fixed rate: every request has its time, and what it waits for its turn counts.
//!
//! Beside what is measured, one request in ten asks for what costs nothing: how long that takes is the machine's and the
//! client's own share, and with the time that the host took away it says what a figure is worth.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::machine::{Machine, Usage};

/// Between two requests: 1,000 a second.
const INTERVAL: Duration = Duration::from_millis(1);

/// One request in so many is made beside the others, for nothing.
const FLOOR_EVERY: u32 = 10;

/// What a run of requests showed.
pub(crate) struct Measured {
    requests: Latencies,
    floor: Latencies,
    machine: Usage,
}

/// How long each request took, sorted.
pub(crate) struct Latencies(Vec<Duration>);

/// Makes `requests`, one every millisecond, whether or not those before are answered, and some of `nothing` beside them.
pub(crate) async fn measure<F, N>(
    requests: u32,
    mut request: impl FnMut(u32) -> F,
    nothing: impl Fn() -> N,
) -> anyhow::Result<Measured>
where
    F: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    N: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
{
    let machine = Machine::look()?;
    let (pace, mut due) = mpsc::channel(requests as usize);
    // The runtime's timer counts whole milliseconds, which is as long as what is measured.
    let pacing = std::thread::spawn(move || {
        let begun = Instant::now();
        for number in 0..requests {
            let due = begun + INTERVAL * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // Who measures has given up.
            if pace.blocking_send((number, due)).is_err() {
                break;
            }
        }
    });
    let (mut under_way, mut beside) = (JoinSet::new(), JoinSet::new());
    while let Some((number, due)) = due.recv().await {
        let request = request(number);
        under_way.spawn(async move { request.await.map(|_| due.elapsed()) });
        if number % FLOOR_EVERY == 0 {
            let nothing = nothing();
            beside.spawn(async move { nothing.await.map(|_| due.elapsed()) });
        }
    }
    pacing.join().map_err(|_| anyhow::anyhow!("the pace was lost"))?;
    let requests = collect(under_way).await?;
    Ok(Measured { requests, floor: collect(beside).await?, machine: machine.since()? })
}

async fn collect(mut under_way: JoinSet<anyhow::Result<Duration>>) -> anyhow::Result<Latencies> {
    let mut latencies = Vec::with_capacity(under_way.len());
    while let Some(latency) = under_way.join_next().await {
        latencies.push(latency??);
    }
    latencies.first().context("no request was made")?;
    Ok(Latencies::new(latencies))
}

impl Measured {
    pub(crate) fn figure(&self, name: &str) -> Value {
        let mut figure = self.requests.figure(name);
        figure["livez_p99_ms"] = json!(self.floor.at(0.99));
        figure["busy_percent"] = json!(self.machine.busy);
        figure["steal_percent"] = json!(self.machine.stolen);
        figure
    }
}

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    pub(crate) fn figure(&self, name: &str) -> Value {
        json!({
            "figure": name, "requests": self.0.len(),
            "p50_ms": self.at(0.50), "p99_ms": self.at(0.99), "max_ms": self.at(1.0),
        })
    }

    fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        crate::round(self.0.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0))
    }
}
