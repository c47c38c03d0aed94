//! Loops of a dear query: each reads its reply to the end and asks again.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    round,
    service::{Service, connect},
};

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
    /// The number of complete replies.
    replies: AtomicU64,
    /// The bytes of all replies, also of incomplete ones.
    bytes: AtomicU64,
    /// Replies 503 with a `Retry-After`.
    refusals: Faults,
    failures: Faults,
}

/// Requests without the reply: their number, and the error of the first one.
#[derive(Default)]
pub(super) struct Faults {
    number: AtomicU64,
    first: OnceLock<String>,
}

/// A reply to a dear query.
enum Reply {
    Complete,
    /// The service asks the client to wait before it repeats the request.
    Refused {
        pause: Duration,
        error: anyhow::Error,
    },
}

impl Loops {
    /// Starts loops with connections of their own.
    pub(super) fn start(service: &Service, path: &str) -> anyhow::Result<Self> {
        let (http, tally) = (connect(&service.client, &service.url)?, Arc::new(Tally::default()));
        let url = format!("{}{path}", service.url);
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
            "refusals": self.tally.refusals.figure(), "failures": self.tally.failures.figure(),
        })
    }

    /// Asks once, without loops, to show how dear the query is.
    pub(super) async fn once(service: &Service, path: &str) -> Value {
        let (begun, bytes) = (Instant::now(), AtomicU64::new(0));
        let reply = match connect(&service.client, &service.url) {
            Ok(http) => ask(&http, &format!("{}{path}", service.url), &bytes).await,
            Err(error) => Err(error),
        };
        let mut figure = json!({
            "seconds": round(begun.elapsed().as_secs_f64()), "bytes": bytes.into_inner(),
        });
        if let Err(error) | Ok(Reply::Refused { error, .. }) = reply {
            figure["error"] = json!(format!("{error:#}"));
        }
        figure
    }
}

async fn repeat(http: Client, url: String, tally: Arc<Tally>) {
    loop {
        match ask(&http, &url, &tally.bytes).await {
            Ok(Reply::Complete) => {
                tally.replies.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Reply::Refused { pause, error }) => {
                tally.refusals.note(&error);
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                tally.failures.note(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends a request and reads the reply to its end. Keeps none of it, but counts its bytes.
async fn ask(http: &Client, url: &str, bytes: &AtomicU64) -> anyhow::Result<Reply> {
    let mut reply = http.get(url).send().await?;
    let status = reply.status();
    if !status.is_success() {
        let pause =
            reply.headers().get(RETRY_AFTER).map(|seconds| anyhow::Ok(seconds.to_str()?.parse()?));
        let pause = pause.transpose().context("a Retry-After that is not a number")?;
        let error = anyhow!("{status}: {}", reply.text().await?);
        let Some(seconds) = pause.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE) else {
            return Err(error);
        };
        return Ok(Reply::Refused { pause: Duration::from_secs(seconds), error });
    }
    while let Some(chunk) = reply.chunk().await.context("the reply broke off")? {
        bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    Ok(Reply::Complete)
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
