//! The ingest endpoint: reads a batch, judges its events, appends the accepted ones to the log, and
//! replies when they are durable.
//!
//! A reply with status 200 means that every accepted event is durable. The endpoint never pairs
//! events and keeps no state of its own.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use shared::{
    clock::Clock,
    event::{BatchShape, EventBatch, Sender, SessionEvent},
    http::{Access, Request, RequestId, Route},
    telemetry::Repeats,
    timestamp::Timestamp,
};
use warp::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    reply::Response,
};

pub use self::options::EndpointOptions;
use self::{
    body::{Body, BodyError},
    in_flight::InFlight,
    quota::Quotas,
    refusal::Refusal,
    reply::Report,
};
use crate::{
    log::{Log, LogError, NewRecord},
    metrics::{EventOutcome, IngestMetrics},
};

mod body;
mod in_flight;
mod judge;
mod openapi;
mod options;
mod parameters;
mod quota;
mod refusal;
mod reply;

/// The header in which proxies report the addresses of clients.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The paths that accept a batch by POST.
pub const PATHS: [&str; 3] = ["/v1/events", "/user/batches", "/"];

/// The routes of the endpoint: the same function at each of [`PATHS`].
#[must_use]
pub fn routes() -> Vec<Route<Endpoint>> {
    let route = |path| {
        let answer = async |endpoint: Arc<Endpoint>, request| endpoint.answer(request).await;
        Route::post(path, Access::Ingest, answer).described(openapi::call(path))
    };
    PATHS.map(route).into()
}

/// The endpoint: the state that its routes share.
#[derive(Debug)]
pub struct Endpoint {
    log: Log,
    clock: Clock,
    metrics: Arc<IngestMetrics>,
    options: EndpointOptions,
    in_flight: InFlight,
    quotas: Quotas,
    repeats: Repeats,
}

impl Endpoint {
    /// An endpoint that appends to `log`.
    #[must_use]
    pub fn new(
        log: Log,
        clock: Clock,
        metrics: Arc<IngestMetrics>,
        options: EndpointOptions,
    ) -> Self {
        let in_flight = InFlight::new(options.max_inflight_bytes, metrics.inflight_bytes.clone());
        let quotas = Quotas::new(options.quota_events_per_second, options.max_events);
        Self { log, clock, metrics, options, in_flight, quotas, repeats: Repeats::default() }
    }

    /// Whether it may accept events as far in the future as its tolerance says.
    pub fn ready(&self) -> Result<(), LogError> {
        self.log.check_latest_ts(self.latest_ts(self.clock.now()))
    }

    /// The latest time of an event that is accepted at `now`.
    fn latest_ts(&self, now: Timestamp) -> Timestamp {
        now + self.options.future_tolerance_ms
    }

    async fn answer(&self, request: Request) -> Response {
        let timer = self.metrics.request_duration.start_timer();
        // The clients of the second seed look for the text alone.
        let text_for_rows = request.route == "/" && !wants_json(&request.headers);
        let request_id = request.id.clone();
        let caller = request.caller.clone();
        let reply = match self.take(request).await {
            Ok((shape, report)) => report.to_response(text_for_rows && shape == BatchShape::Rows),
            Err(refusal) => {
                self.log_failure(&refusal, &request_id);
                refusal.to_response()
            }
        };
        timer.observe_duration();
        self.metrics.answered(reply.status().as_u16(), caller.key_id());
        reply
    }

    async fn take(&self, request: Request) -> Result<(BatchShape, Report), Refusal> {
        let sender = parameters::sender(&request)?;
        let Request { headers, connected, caller, body, .. } = request;
        let EndpointOptions { max_events, max_body_bytes, body_timeout, .. } = self.options;
        let format = body::format(&headers)?;
        let body =
            Body::read(&headers, connected, body, max_body_bytes, &self.in_flight, body_timeout)
                .await?;
        let sender = Sender { users_prefix: caller.users_prefix(), ..sender };
        let batch = EventBatch::decode_by(body.bytes(), format, max_events, sender)?;
        let sent = batch.events.len();
        self.metrics.batch_events.observe(precise(sent));
        let client = connected.client.map(|peer| {
            let forwarded = headers.get_all(FORWARDED).iter().map(HeaderValue::as_bytes);
            self.options.trusted_proxies.client(peer, forwarded)
        });
        self.quotas
            .charge(caller.key().map(Arc::as_ref), client, sent, Instant::now())
            .map_err(|seconds| Refusal::Quota { seconds })?;
        let shape = batch.shape;
        let now = self.clock.now();
        let latest = self.latest_ts(now);
        let (events, report) = judge::judge(batch, now, latest);
        if events.is_empty() && report.discarded.is_empty() {
            self.count_refused(&report);
            return Err(Refusal::NothingUsable(report));
        }
        if !events.is_empty() {
            self.log.check_latest_ts(latest).map_err(Refusal::Log)?;
            self.append(to_records(&events, latest), body).await?;
        }
        // Only after the append: a client that gets a 503 sends the same events again.
        self.count_refused(&report);
        Ok((shape, report))
    }

    /// Logs why a batch was refused although it may be valid, once for many: all clients meet the
    /// same fault.
    fn log_failure(&self, refusal: &Refusal, request_id: &RequestId) {
        let kind = match refusal {
            Refusal::Log(LogError::Refused { cause, .. }) => cause.as_str(),
            Refusal::Log(LogError::Throttled { .. }) => "throttled",
            Refusal::Log(_) => "unavailable",
            Refusal::TimedOut => "timed_out",
            Refusal::Body(BodyError::Busy) => "busy",
            _ => return,
        };
        let Some(suppressed) = self.repeats.due(kind) else { return };
        match refusal {
            Refusal::Log(error @ LogError::Refused { .. }) => {
                tracing::error!(
                    %error,
                    %request_id,
                    suppressed,
                    "a batch was refused; the client gets a 503"
                );
            }
            Refusal::Log(error) => tracing::warn!(
                %error,
                %request_id,
                suppressed,
                "the log did not accept a batch; the client gets a 503"
            ),
            _ => {
                let error = refusal.error().message;
                tracing::warn!(
                    error,
                    %request_id,
                    suppressed,
                    "a batch was refused; the client gets a 503"
                );
            }
        }
    }

    fn count_refused(&self, report: &Report) {
        self.metrics.count(EventOutcome::Discarded, report.discarded.len() as u64);
        for rejected in &report.rejected {
            self.metrics.count(EventOutcome::Rejected(rejected.code), 1);
        }
    }

    /// Appends the events in a task of its own. When the client disconnects or the append times
    /// out, the records and the bytes of `body` stay in memory until the log has replied, and
    /// events that became durable are counted.
    async fn append(&self, records: Vec<NewRecord>, body: Body) -> Result<(), Refusal> {
        let accepted = records.len() as u64;
        let (log, metrics) = (self.log.clone(), Arc::clone(&self.metrics));
        let appending = tokio::spawn(async move {
            let _held = body;
            metrics.show_queue(log.queued());
            let timer = metrics.append_duration.start_timer();
            let outcome = log.append(records).await;
            timer.observe_duration();
            metrics.show_queue(log.queued());
            match &outcome {
                Ok(()) => metrics.count(EventOutcome::Accepted, accepted),
                Err(LogError::Refused { cause, .. }) => metrics.refused(*cause),
                Err(_) => {}
            }
            outcome
        });
        // An append that times out may still become durable. The client sends the batch again, and
        // a repeated event changes nothing.
        match tokio::time::timeout(self.options.append_timeout, appending).await {
            Ok(Ok(outcome)) => outcome.map_err(Refusal::Log),
            Ok(Err(lost)) => Err(Refusal::Log(LogError::Busy(lost.to_string()))),
            Err(_elapsed) => Err(Refusal::TimedOut),
        }
    }
}

/// Writes all events into one buffer; the key and the value of a record are slices of it. Each
/// record says that events up to `latest` were accepted, so that no consumer refuses them later.
fn to_records(events: &[SessionEvent], latest: Timestamp) -> Vec<NewRecord> {
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
        let (key, value) = (text.slice(begin..key), text.slice(key..end));
        begin = end;
        NewRecord { latest_ts: Some(latest), ..NewRecord::new(key, value) }
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
