//! Compares two requests, which alternate, so that a change in the machine's speed affects both.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{latency::Latencies, machine::Machine, report, round, service::Service};

/// The number of requests for each latency.
const REQUESTS: usize = 21;
/// The time after which no further requests are sent for a latency.
const LONG: Duration = Duration::from_secs(60);

/// A request to a service.
pub(super) struct Ask<'a> {
    pub(super) service: &'a Service,
    pub(super) path: &'a str,
}

/// The replies to a request, one after the other.
struct Replies<'a> {
    ask: &'a Ask<'a>,
    latencies: Vec<Duration>,
    /// The size of the last reply.
    bytes: usize,
    /// The first error, and the time until it. A query that is refused or takes longer than its
    /// deadline is a figure, too. It is not asked again.
    error: Option<(anyhow::Error, Duration)>,
}

/// Reports the latencies and the sizes of the replies to both requests.
pub(super) async fn report_both(
    figure: &str,
    store: &str,
    ordinary: Ask<'_>,
    skewed: Ask<'_>,
) -> anyhow::Result<()> {
    let machine = Machine::read()?;
    let (mut ordinary, mut skewed) = (Replies::new(&ordinary), Replies::new(&skewed));
    let begun = Instant::now();
    for _ in 0..REQUESTS {
        ordinary.ask().await;
        skewed.ask().await;
        if begun.elapsed() >= LONG {
            break;
        }
    }
    let machine = machine.since()?;
    let mut figure = json!({
        "figure": figure, "store": store,
        "busy_percent": machine.busy, "steal_percent": machine.stolen,
    });
    let [before, after] = [&ordinary, &skewed].map(Replies::median_ms);
    figure["skewed_to_ordinary_p50"] = json!(before.zip(after).map(|(o, s)| round(s / o)));
    (figure["ordinary"], figure["skewed"]) = (ordinary.figure(), skewed.figure());
    report(figure)
}

impl<'a> Replies<'a> {
    fn new(ask: &'a Ask<'a>) -> Self {
        Self { ask, latencies: Vec::new(), bytes: 0, error: None }
    }

    async fn ask(&mut self) {
        if self.error.is_some() {
            return;
        }
        let begun = Instant::now();
        match self.ask.service.get(self.ask.path).await {
            Ok(reply) => {
                self.latencies.push(begun.elapsed());
                self.bytes = reply.len();
            }
            Err(error) => self.error = Some((error, begun.elapsed())),
        }
    }

    /// The median; `None` after an error.
    fn median_ms(&self) -> Option<f64> {
        self.error.is_none().then(|| Latencies::new(self.latencies.clone()).at(0.50))
    }

    fn figure(&self) -> Value {
        if let Some((error, after)) = &self.error {
            return json!({
                "error": format!("{error:#}"), "after_s": round(after.as_secs_f64()),
                "replies_before": self.latencies.len(),
            });
        }
        let mut figure = Latencies::new(self.latencies.clone()).percentiles();
        figure["bytes"] = json!(self.bytes);
        figure
    }
}
