//! The ingest endpoint: reads a batch, judges its events, appends them to the log, and answers when they are durable.
//!
//! A 200 is said only after every accepted event is durable. Nothing here pairs, stores or remembers.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use shared::{
    clock::Clock,
    event::{BatchError, BatchShape, EventBatch, RejectionCode, SessionEvent},
    http::{Client, error, error_for_now},
};
use tokio::time::Instant;
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::Response,
};

use self::{
    body::{Body, BodyError, InFlight},
    quota::Quota,
    reply::Report,
};
use crate::{
    log::{Log, LogError, NewRecord},
    metrics::{IngestMetrics, Outcome},
};

mod body;
mod quota;
mod reply;

/// The addresses that take a batch, each by POST.
pub const PATHS: [&str; 3] = ["/v1/events", "/user/batches", "/"];

/// The methods that `path` takes at the endpoint; none for a path that is not the endpoint's.
#[must_use]
pub fn methods(path: &str) -> &'static [&'static str] {
    if PATHS.contains(&path) { &["POST"] } else { &[] }
}

/// After how many seconds a client that was told 503 should come again.
const RETRY_AFTER: u64 = 1;

/// Limits on what a client may send.
#[derive(Clone, Copy, Debug)]
pub struct EndpointOptions {
    /// The most events in a batch.
    pub max_events: usize,
    /// The longest body, before and after inflating, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes of bodies held at once, for all clients together.
    pub max_inflight_bytes: usize,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// How long an append may take before the client is told to try again.
    pub append_timeout: Duration,
    /// How much later than now an event may be, in milliseconds.
    pub future_tolerance_ms: i64,
    /// The most events a second from one client address; `None` for no limit.
    pub quota_events_per_second: Option<u32>,
}

/// The endpoint with all that it needs.
#[derive(Debug)]
pub struct Endpoint {
    log: Log,
    clock: Clock,
    metrics: Arc<IngestMetrics>,
    options: EndpointOptions,
    in_flight: InFlight,
    quota: Option<Quota>,
}

/// Why a batch was not taken; one answer each.
enum Refusal {
    Body(BodyError),
    Batch(BatchError),
    NothingUsable(Report),
    Quota { seconds: u64 },
    Log(LogError),
    TimedOut,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            max_body_bytes: 1 << 20,
            max_inflight_bytes: 64 << 20,
            body_timeout: Duration::from_secs(15),
            append_timeout: Duration::from_secs(12),
            future_tolerance_ms: 5 * shared::timestamp::MINUTE,
            quota_events_per_second: None,
        }
    }
}

impl Endpoint {
    /// An endpoint in front of `log`.
    #[must_use]
    pub fn new(log: Log, clock: Clock, metrics: Arc<IngestMetrics>, options: EndpointOptions) -> Self {
        let in_flight = InFlight::new(options.max_inflight_bytes, metrics.inflight_bytes.clone());
        let quota = options.quota_events_per_second.map(|rate| Quota::new(rate, options.max_events));
        Self { log, clock, metrics, options, in_flight, quota }
    }

    /// The endpoint's routes; they reject what is not theirs.
    pub fn routes(self: Arc<Self>) -> BoxedFilter<(Response,)> {
        let mine = warp::path::full().and_then(async |path: warp::path::FullPath| {
            if PATHS.contains(&path.as_str()) {
                Ok(path.as_str() == "/")
            } else {
                Err(warp::reject::not_found())
            }
        });
        warp::post()
            .and(mine)
            .and(warp::header::headers_cloned())
            .and(warp::ext::optional::<Client>())
            .and(warp::body::stream())
            .then(move |is_root, headers, client, body| {
                let endpoint = Arc::clone(&self);
                async move { endpoint.answer(is_root, headers, client, body).await }
            })
            .boxed()
    }

    async fn answer(
        &self,
        is_root: bool,
        headers: HeaderMap,
        client: Option<Client>,
        body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> Response {
        let timer = self.metrics.request_duration.start_timer();
        let reply = match self.take(&headers, client, body).await {
            Ok((BatchShape::Rows, report)) if is_root && !wants_json(&headers) => report.into_text(),
            Ok((_, report)) => report.into_reply(),
            Err(refusal) => refusal.into_reply(&self.options),
        };
        timer.observe_duration();
        self.metrics.answered(reply.status().as_u16());
        reply
    }

    async fn take(
        &self,
        headers: &HeaderMap,
        client: Option<Client>,
        body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> Result<(BatchShape, Report), Refusal> {
        let format = body::format(headers)?;
        let deadline = Instant::now() + self.options.body_timeout;
        let body = Body::read(headers, body, self.options.max_body_bytes, &self.in_flight, deadline).await?;
        let batch = EventBatch::decode(body.bytes(), format, self.options.max_events)?;
        self.metrics.batch_events.observe(precise(batch.events.len()));
        let shape = batch.shape;
        let (events, report) = self.judge(batch);
        self.count_refused(&report);
        if events.is_empty() && report.discarded.is_empty() {
            return Err(Refusal::NothingUsable(report));
        }
        if let (Some(quota), Some(Client(address))) = (&self.quota, client) {
            quota.check(address, report.sent()).map_err(|seconds| Refusal::Quota { seconds })?;
        }
        if !events.is_empty() {
            self.append(&events).await?;
            self.metrics.count(Outcome::Accepted, events.len() as u64);
        }
        Ok((shape, report))
    }

    /// Sorts the events of a batch by what becomes of them.
    fn judge(&self, batch: EventBatch) -> (Vec<SessionEvent>, Report) {
        let now = self.clock.now();
        let mut events = Vec::with_capacity(batch.events.len());
        let mut report = Report::default();
        for (index, event) in batch.events.into_iter().enumerate() {
            let judged = event.and_then(|event| {
                event
                    .judge(now, self.options.future_tolerance_ms)
                    .map_err(|code| reply::too_far(code, &event, now))?;
                Ok(event)
            });
            match judged {
                Ok(event) => events.push(event),
                Err(refused) if refused.code == RejectionCode::Expired => report.discard(index, refused.code),
                Err(refused) => report.reject(index, refused),
            }
        }
        report.accepted = events.len();
        (events, report)
    }

    fn count_refused(&self, report: &Report) {
        self.metrics.count(Outcome::Discarded, report.discarded.len() as u64);
        for rejected in &report.rejected {
            self.metrics.count(Outcome::Rejected(rejected.code), 1);
        }
    }

    async fn append(&self, events: &[SessionEvent]) -> Result<(), Refusal> {
        let records = to_records(events);
        self.metrics.queue_records.set(i64::try_from(self.log.queued()).unwrap_or(i64::MAX));
        let timer = self.metrics.append_duration.start_timer();
        // What times out may become durable all the same: the client will repeat it, and a repetition changes nothing.
        let appended = tokio::time::timeout(self.options.append_timeout, self.log.append(records)).await;
        timer.observe_duration();
        appended.map_err(|_| Refusal::TimedOut)?.map_err(Refusal::Log)
    }
}

/// All events in one piece of memory: a record is two slices of it.
fn to_records(events: &[SessionEvent]) -> Vec<NewRecord> {
    let mut text = Vec::with_capacity(events.len() * 256);
    let mut ends = Vec::with_capacity(events.len());
    for event in events {
        text.extend_from_slice(event.user().as_str().as_bytes());
        let key = text.len();
        event.write_json(&mut text);
        ends.push((key, text.len()));
    }
    let text = Bytes::from(text);
    let mut begin = 0;
    let record = |(key, end): (usize, usize)| {
        let record =
            NewRecord { key: text.slice(begin..key), value: text.slice(key..end), append_time: None };
        begin = end;
        record
    };
    ends.into_iter().map(record).collect()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("application/json"))
}

/// A count as a metric's value.
fn precise(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl Refusal {
    fn into_reply(self, options: &EndpointOptions) -> Response {
        let too_large = StatusCode::PAYLOAD_TOO_LARGE;
        match self {
            Self::Body(BodyError::TooLarge { limit }) => error(
                too_large,
                "body_too_large",
                &format!(
                    "a body, before and after inflating, has at most {limit} bytes; send smaller batches"
                ),
            ),
            Self::Body(BodyError::MediaType(sent)) => error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                &format!("send application/json or application/x-ndjson, not {sent}"),
            ),
            Self::Body(BodyError::Encoding(sent)) => error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                &format!("send a body as it is, or with gzip or zstd, not {sent}"),
            ),
            Self::Body(BodyError::Damaged(what)) => error(StatusCode::BAD_REQUEST, "damaged_body", &what),
            Self::Body(BodyError::Slow) => closing(error(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                &format!("the body did not arrive within {} seconds", options.body_timeout.as_secs()),
            )),
            Self::Body(BodyError::Busy) => closing(busy("too much is being received at the moment")),
            Self::Batch(refused @ BatchError::TooManyEvents { .. }) => {
                error(too_large, "too_many_events", &refused.to_string())
            }
            Self::Batch(refused) => {
                let code = match refused {
                    BatchError::NotJson(_) => "not_json",
                    BatchError::Empty => "empty_batch",
                    _ => "not_a_batch",
                };
                error(StatusCode::BAD_REQUEST, code, &refused.to_string())
            }
            Self::NothingUsable(report) => report.into_refusal(),
            Self::Quota { seconds } => {
                let text =
                    format!("more events than this service takes from one client; try again in {seconds} s");
                error_for_now(StatusCode::TOO_MANY_REQUESTS, "over_quota", &text, seconds)
            }
            Self::Log(refused) => {
                tracing::warn!(error = %refused, "a batch was not taken");
                busy("the log cannot take this batch at the moment")
            }
            Self::TimedOut => busy("the log did not take this batch in time"),
        }
    }
}

fn busy(message: &str) -> Response {
    error_for_now(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, RETRY_AFTER)
}

/// What is left of the body will not be read.
fn closing(mut reply: Response) -> Response {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}
