//! Sends one batch until the reply is final; decides which replies are retried, and when.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use anyhow::Context;
use reqwest::{StatusCode, Url, header};
use shared::config::Mistakes;

use super::{
    batch::{Place, RequestBatch},
    options::LoadOptions,
    reply::{BatchReport, Refused},
};
use crate::client;

/// The code of an event that is too long for a request.
const TOO_LONG: &str = "too_long";

/// Longer than the limit of the service for a request.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The longest pause that a `Retry-After` may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Sends batches to one service.
#[derive(Debug)]
pub(super) struct Sender {
    http: reqwest::Client,
    url: Url,
    has_key: bool,
    tries: u32,
    backoff: Duration,
}

/// The result of sending one batch.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) report: BatchReport,
    pub(super) retries: u64,
    /// Events that could not be delivered, and why.
    pub(super) undelivered: usize,
    pub(super) failure: Option<String>,
}

/// The result of one attempt.
enum Attempt {
    Final(BatchReport),
    TooLarge,
    Transient { why: String, retry_after: Option<Duration> },
    Fatal(String),
}

impl Sender {
    pub(super) fn new(options: &LoadOptions) -> anyhow::Result<Self> {
        let url = Url::parse(&options.url).ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
        let mut url = url.ok_or_else(|| {
            let mistake = format!(
                "--url: {:?} is not valid: expected http://HOST:PORT or https://HOST:PORT",
                options.url
            );
            Mistakes(vec![mistake])
        })?;
        url.set_path(&format!("{}/v1/events", url.path().trim_end_matches('/')));
        let http = options
            .client
            .builder(&url)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REPLY_TIMEOUT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(usize::from(options.concurrency))
            .build()
            .context("cannot create an HTTP client")?;
        let has_key = options.client.key.is_some();
        Ok(Self { http, url, has_key, tries: options.tries, backoff: options.backoff })
    }

    /// Sends `batch`, with retries, and in parts if it is too large for one request.
    pub(super) async fn deliver(&self, batch: RequestBatch) -> Delivered {
        let mut delivered = Delivered::default();
        delivered.report.refused.extend(batch.too_long.iter().map(too_long));
        let mut parts = vec![batch];
        parts.retain(|part| !part.places.is_empty());
        while let Some(part) = parts.pop() {
            if delivered.failure.is_some() {
                delivered.undelivered += part.places.len();
                continue;
            }
            match self.settle(&part, &mut delivered.retries).await {
                Ok(Some(report)) => delivered.report.add(report),
                Ok(None) => match part.halves() {
                    Some(halves) => parts.extend(halves),
                    None => delivered.report.refused.extend(part.places.iter().map(too_long)),
                },
                Err(failure) => {
                    delivered.undelivered += part.places.len();
                    delivered.failure = Some(failure);
                }
            }
        }
        delivered
    }

    /// Sends until the reply is final; returns `None` if the batch is too large.
    async fn settle(
        &self,
        batch: &RequestBatch,
        retries: &mut u64,
    ) -> Result<Option<BatchReport>, String> {
        let mut tries = 1;
        loop {
            match self.attempt(batch).await {
                Attempt::Final(report) => return Ok(Some(report)),
                Attempt::TooLarge => return Ok(None),
                Attempt::Fatal(why) => return Err(why),
                Attempt::Transient { why, .. } if tries >= self.tries => {
                    return Err(format!("gave up after {tries} attempts: {why}"));
                }
                Attempt::Transient { retry_after, .. } => {
                    tokio::time::sleep(self.pause(tries, retry_after)).await
                }
            }
            tries += 1;
            *retries += 1;
        }
    }

    async fn attempt(&self, batch: &RequestBatch) -> Attempt {
        let request =
            self.http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/x-ndjson");
        let response = match request.body(batch.body.clone()).send().await {
            Ok(response) => response,
            Err(error) => return self.unanswered(&error),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let retry_after = retry_after(&headers);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return self.unanswered(&error),
        };
        match status {
            StatusCode::OK | StatusCode::BAD_REQUEST => {
                match BatchReport::read(&body, &batch.places) {
                    Some(report) => Attempt::Final(report),
                    None => Attempt::Fatal(self.unexpected(status, &headers, &body)),
                }
            }
            StatusCode::PAYLOAD_TOO_LARGE => Attempt::TooLarge,
            // The first two are from the service; the others may be from a proxy in front of it.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => {
                Attempt::Transient { why: self.unexpected(status, &headers, &body), retry_after }
            }
            _ => Attempt::Fatal(self.unexpected(status, &headers, &body)),
        }
    }

    /// The pause after attempt number `tries`: `Retry-After`, or exponential backoff. A random part
    /// keeps clients that were refused together from returning together.
    fn pause(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        // The random key of a hasher is sufficient for jitter.
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

    /// A network error is retried: the batch may have arrived, but repeating it is harmless. A
    /// certificate that is not trusted now is not trusted later.
    fn unanswered(&self, error: &reqwest::Error) -> Attempt {
        let why = format!("no reply from {}: {}", self.url, client::root_cause(error));
        if client::is_untrusted(error) {
            return Attempt::Fatal(why);
        }
        Attempt::Transient { why, retry_after: None }
    }

    fn unexpected(&self, status: StatusCode, headers: &header::HeaderMap, body: &[u8]) -> String {
        let cause = format!("{} {}", self.url, client::describe(status, headers, body));
        if status == StatusCode::UNAUTHORIZED && !self.has_key {
            return format!("{cause}; set BOOKEND_API_KEY or BOOKEND_API_KEY_FILE");
        }
        cause
    }
}

fn too_long(place: &Place) -> Refused {
    Refused {
        place: *place,
        is_discarded: false,
        code: TOO_LONG.to_owned(),
        detail: "the event is longer than a request may be".to_owned(),
    }
}

/// The seconds of `Retry-After`. The service never sends a date.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
