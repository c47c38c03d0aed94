//! One batch to the service, until it is answered for: which answers are final, which are tried again, and when.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use anyhow::Context;
use reqwest::{StatusCode, Url, header};

use super::{Options, batch::Batch, reply::Outcome};

/// The code, of our own, for an event that no request can hold.
pub(super) const TOO_LONG: &str = "too_long";

/// Longer than the service's own limit for a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Whatever the service asks for, nobody waits longer without a word.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Sends batches to one service.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    tries: u32,
    backoff: Duration,
}

/// What became of one batch.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) outcome: Outcome,
    pub(super) retries: u64,
    /// Events that were given up, and why.
    pub(super) undelivered: usize,
    pub(super) failure: Option<String>,
}

/// What came of one try.
enum Answer {
    Final(Outcome),
    TooLarge,
    Passing { why: String, retry_after: Option<Duration> },
    Fatal(String),
}

impl Client {
    pub(super) fn new(options: &Options) -> anyhow::Result<Self> {
        let base =
            Url::parse(&options.url).with_context(|| format!("{} is not a URL", options.url))?;
        anyhow::ensure!(
            base.scheme() == "http",
            "{base} cannot be used: only http:// is spoken here"
        );
        let mut url = base;
        url.set_path(&format!("{}/v1/events", url.path().trim_end_matches('/')));
        let http = reqwest::Client::builder()
            .user_agent(concat!("bookend/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(usize::from(options.concurrency))
            // A redirected POST may turn into a GET: say where it leads rather than follow.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self { http, url, tries: options.tries, backoff: options.backoff })
    }

    /// Sends `batch`, in parts if it is too large as a whole, and again as often as is allowed.
    pub(super) async fn deliver(&self, batch: Batch) -> Delivered {
        let mut delivered = Delivered::default();
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if delivered.failure.is_some() {
                delivered.undelivered += part.events;
                continue;
            }
            match self.settle(&part, &mut delivered.retries).await {
                Ok(Some(outcome)) => delivered.outcome.add(outcome),
                Ok(None) => match part.halves() {
                    Some(halves) => parts.extend(halves),
                    None => delivered.outcome.reject(TOO_LONG),
                },
                Err(failure) => {
                    delivered.undelivered += part.events;
                    delivered.failure = Some(failure);
                }
            }
        }
        delivered
    }

    /// Tries until the answer is final; `None` is that the batch is too large.
    async fn settle(&self, batch: &Batch, retries: &mut u64) -> Result<Option<Outcome>, String> {
        let mut tries = 1;
        loop {
            match self.attempt(batch).await {
                Answer::Final(outcome) => return Ok(Some(outcome)),
                Answer::TooLarge => return Ok(None),
                Answer::Fatal(why) => return Err(why),
                Answer::Passing { why, .. } if tries >= self.tries => {
                    return Err(format!("gave up after {tries} tries: {why}"));
                }
                Answer::Passing { retry_after, .. } => {
                    tokio::time::sleep(self.wait(tries, retry_after)).await
                }
            }
            tries += 1;
            *retries += 1;
        }
    }

    async fn attempt(&self, batch: &Batch) -> Answer {
        let request =
            self.http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/x-ndjson");
        let response = match request.body(batch.body.clone()).send().await {
            Ok(response) => response,
            Err(error) => return Answer::passing(&error),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Answer::passing(&error),
        };
        match status {
            StatusCode::OK | StatusCode::BAD_REQUEST => match Outcome::of(&body, batch.events) {
                Some(outcome) => Answer::Final(outcome),
                None => Answer::Fatal(self.unexpected(status, &body)),
            },
            StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge,
            // The service's own two, and what it or a proxy before it says when something took too long or was away.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => {
                Answer::Passing { why: self.unexpected(status, &body), retry_after }
            }
            _ => Answer::Fatal(self.unexpected(status, &body)),
        }
    }

    /// How long to wait after try number `tries`: as long as was asked for, or twice as long each time. A random part keeps
    /// those who were turned away together from coming back together.
    fn wait(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        // A fresh hash map's key is random enough for that.
        let jitter = RandomState::new().hash_one(tries) as f64 / u64::MAX as f64;
        match retry_after {
            Some(wait) => wait.min(LONGEST_RETRY_AFTER) + self.backoff.mul_f64(jitter),
            None => {
                let longest =
                    self.backoff.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_BACKOFF);
                longest.mul_f64(0.5 + jitter / 2.0)
            }
        }
    }

    fn unexpected(&self, status: StatusCode, body: &[u8]) -> String {
        let text: String = String::from_utf8_lossy(body).chars().take(300).collect();
        format!("{} answered {status}: {}", self.url, text.trim())
    }
}

impl Answer {
    /// Whatever went wrong on the way is tried again: the batch may have arrived or not, and repeating it is harmless.
    fn passing(error: &reqwest::Error) -> Self {
        let cause =
            std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
                .last();
        let why = format!("{error}: {}", cause.map(ToString::to_string).unwrap_or_default());
        Self::Passing { why, retry_after: None }
    }
}

/// The seconds of `Retry-After`. A date, its other form, is not used by the service.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
