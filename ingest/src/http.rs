//! The ingest endpoint: reads a batch, judges its events, appends them to the log, and answers when they are durable.
//!
//! A 200 is said only after every accepted event is durable. Nothing here pairs, stores or remembers.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use shared::{
    clock::Clock,
    event::{BatchShape, EventBatch, RejectionCode, SessionEvent},
    http::Client,
};
use tokio::time::Instant;
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, header},
    reply::Response,
};

use self::{
    body::{Body, InFlight},
    quota::Quota,
    refusal::Refusal,
    reply::Report,
};
use crate::{
    log::{Log, LogError, NewRecord},
    metrics::{EventOutcome, IngestMetrics},
};

mod body;
pub mod openapi;
mod quota;
mod refusal;
mod reply;

/// The addresses that take a batch, each by POST.
pub const PATHS: [&str; 3] = ["/v1/events", "/user/batches", "/"];

/// The methods that `path` takes at the endpoint; none for a path that is not the endpoint's.
#[must_use]
pub fn methods(path: &str) -> &'static [&'static str] {
    if PATHS.contains(&path) { &["POST"] } else { &[] }
}

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
    pub fn new(
        log: Log,
        clock: Clock,
        metrics: Arc<IngestMetrics>,
        options: EndpointOptions,
    ) -> Self {
        let in_flight = InFlight::new(options.max_inflight_bytes, metrics.inflight_bytes.clone());
        let quota =
            options.quota_events_per_second.map(|rate| Quota::new(rate, options.max_events));
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
            Ok((BatchShape::Rows, report)) if is_root && !wants_json(&headers) => {
                report.into_text()
            }
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
        let body =
            Body::read(headers, body, self.options.max_body_bytes, &self.in_flight, deadline)
                .await?;
        let batch = EventBatch::decode(body.bytes(), format, self.options.max_events)?;
        let sent = batch.events.len();
        self.metrics.batch_events.observe(precise(sent));
        if let (Some(quota), Some(Client(address))) = (&self.quota, client) {
            quota.check(address, sent).map_err(|seconds| Refusal::Quota { seconds })?;
        }
        let shape = batch.shape;
        let (events, report) = self.judge(batch);
        if events.is_empty() && report.discarded.is_empty() {
            self.count_refused(&report);
            return Err(Refusal::NothingUsable(report));
        }
        if !events.is_empty() {
            self.append(&events, body).await?;
        }
        // Only now: who is told to come again comes with the same events.
        self.count_refused(&report);
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
                Err(refused) if refused.code == RejectionCode::Expired => {
                    report.discard(index, refused.code)
                }
                Err(refused) => report.reject(index, refused),
            }
        }
        report.accepted = events.len();
        (events, report)
    }

    fn count_refused(&self, report: &Report) {
        self.metrics.count(EventOutcome::Discarded, report.discarded.len() as u64);
        for rejected in &report.rejected {
            self.metrics.count(EventOutcome::Rejected(rejected.code), 1);
        }
    }

    /// Appends on a task of its own: when a client goes away, or is told to come again, the records stay in memory until the
    /// log has answered, and so does what `body` holds; and what became durable is counted, whoever still listens.
    async fn append(&self, events: &[SessionEvent], body: Body) -> Result<(), Refusal> {
        let records = to_records(events);
        let accepted = records.len() as u64;
        let (log, metrics) = (self.log.clone(), Arc::clone(&self.metrics));
        let appending = tokio::spawn(async move {
            let _held = body;
            metrics.show_queue(log.queued());
            let timer = metrics.append_duration.start_timer();
            let outcome = log.append(records).await;
            timer.observe_duration();
            metrics.show_queue(log.queued());
            if outcome.is_ok() {
                metrics.count(EventOutcome::Accepted, accepted);
            }
            outcome
        });
        // What times out may become durable all the same: the client will repeat it, and a repetition changes nothing.
        match tokio::time::timeout(self.options.append_timeout, appending).await {
            Ok(Ok(outcome)) => outcome.map_err(Refusal::Log),
            Ok(Err(lost)) => Err(Refusal::Log(LogError::Busy(lost.to_string()))),
            Err(_elapsed) => Err(Refusal::TimedOut),
        }
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
        let record = NewRecord::new(text.slice(begin..key), text.slice(key..end));
        begin = end;
        record
    };
    ends.into_iter().map(record).collect()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts
        .flat_map(|value| value.split(','))
        .any(|kind| kind.trim().starts_with("application/json"))
}

/// A count as a metric's value.
fn precise(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
