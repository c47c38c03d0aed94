//! Loops of a dear query: each reads its reply to the end and asks again.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::round;

/// The number of loops.
pub(super) const LOOPS: usize = 16;
/// The pause of a loop after a failure, so that it does not use a whole processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Running loops.
pub(super) struct Loops {
    running: JoinSet<()>,
    tally: Arc<Tally>,
    begun: Instant,
}

/// The replies to all loops.
#[derive(Default)]
struct Tally {
    replies: AtomicU64,
    bytes: AtomicU64,
    /// Replies 503 with a `Retry-After`.
    refusals: AtomicU64,
    faults: Faults,
}

/// Failed requests: their number, and the error of the first one.
#[derive(Default)]
pub(super) struct Faults {
    number: AtomicU64,
    first: OnceLock<String>,
}

/// A reply to a dear query.
enum Reply {
    /// A complete reply of so many bytes.
    Complete(u64),
    /// The service is busy, and asks the client to wait so long.
    Busy(Duration),
}

impl Loops {
    /// Starts loops with connections of their own.
    pub(super) fn start(url: &str, path: &str) -> anyhow::Result<Self> {
        let (http, tally) = (client()?, Arc::new(Tally::default()));
        let url = format!("{url}{path}");
        let running = (0..LOOPS).map(|_| repeat(http.clone(), url.clone(), tally.clone()));
        Ok(Self { running: running.collect(), tally, begun: Instant::now() })
    }

    /// Ends the loops, also within a reply, and returns what they received.
    pub(super) async fn stop(mut self) -> Value {
        self.running.shutdown().await;
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        json!({
            "seconds": round(self.begun.elapsed().as_secs_f64()),
            "replies": count(&self.tally.replies), "bytes": count(&self.tally.bytes),
            "refusals": count(&self.tally.refusals), "failures": self.tally.faults.figure(),
        })
    }

    /// Asks once, without loops, to show how dear the query is.
    pub(super) async fn once(url: &str, path: &str) -> Value {
        let begun = Instant::now();
        let reply = match client() {
            Ok(http) => ask(&http, &format!("{url}{path}")).await,
            Err(error) => Err(error),
        };
        let seconds = round(begun.elapsed().as_secs_f64());
        match reply {
            Ok(Reply::Complete(bytes)) => json!({ "seconds": seconds, "bytes": bytes }),
            Ok(Reply::Busy(_)) => json!({ "seconds": seconds, "error": "503 busy" }),
            Err(error) => json!({ "seconds": seconds, "error": format!("{error:#}") }),
        }
    }
}

fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().build()?)
}

async fn repeat(http: Client, url: String, tally: Arc<Tally>) {
    loop {
        match ask(&http, &url).await {
            Ok(Reply::Complete(bytes)) => {
                tally.replies.fetch_add(1, Ordering::Relaxed);
                tally.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Ok(Reply::Busy(pause)) => {
                tally.refusals.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                tally.faults.note(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends a request and reads the reply to its end, but keeps none of it.
async fn ask(http: &Client, url: &str) -> anyhow::Result<Reply> {
    let mut reply = http.get(url).send().await?;
    let seconds = reply.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str());
    if let (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) = (reply.status(), seconds) {
        let seconds = seconds?.parse().context("a Retry-After that is not a number")?;
        return Ok(Reply::Busy(Duration::from_secs(seconds)));
    }
    reply.error_for_status_ref()?;
    let mut bytes = 0;
    while let Some(chunk) = reply.chunk().await.context("the reply broke off")? {
        bytes += chunk.len() as u64;
    }
    Ok(Reply::Complete(bytes))
}

impl Faults {
    pub(super) fn note(&self, error: &anyhow::Error) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.first.get_or_init(|| format!("{error:#}"));
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    pub(super) fn figure(&self) -> Value {
        json!({ "number": self.number(), "first": self.first.get() })
    }
}
