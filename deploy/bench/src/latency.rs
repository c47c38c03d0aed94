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

use crate::machine::Machine;

/// The interval between requests: 1,000 per second.
const INTERVAL: Duration = Duration::from_millis(1);

/// One request for the floor per this many requests.
const FLOOR_EVERY: u32 = 10;

/// The latency of each request, sorted.
pub(crate) struct Latencies(Vec<Duration>);

/// Sends `requests` requests, one per millisecond, without waiting for earlier replies, and
/// requests of `nothing` beside them. Returns the figure `name`.
pub(crate) async fn measure<F, N>(
    name: &str,
    requests: u32,
    mut request: impl FnMut(u32) -> F,
    nothing: impl Fn() -> N,
) -> anyhow::Result<Value>
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
            let due = begun + INTERVAL * number;
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
    let mut figure = collect(in_flight).await?.figure(name);
    figure["livez_p99_ms"] = json!(collect(beside).await?.at(0.99));
    let machine = machine.since()?;
    figure["busy_percent"] = json!(machine.busy);
    figure["steal_percent"] = json!(machine.stolen);
    Ok(figure)
}

async fn collect(mut in_flight: JoinSet<anyhow::Result<Duration>>) -> anyhow::Result<Latencies> {
    let mut latencies = Vec::with_capacity(in_flight.len());
    while let Some(latency) = in_flight.join_next().await {
        latencies.push(latency??);
    }
    latencies.first().context("no request was sent")?;
    Ok(Latencies::new(latencies))
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
