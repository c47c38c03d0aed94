//! What every process reports about itself: its log, `/metrics`, `/livez` and `/readyz`.
//!
//! A log line never contains a body or a secret. `/livez` never checks what the process depends on;
//! `/readyz` does.

use std::{
    future::Future,
    io::{self, IsTerminal},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder, process_collector::ProcessCollector};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::time::ChronoUtc};
use warp::{
    Reply,
    http::{StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

use crate::{
    build_info, disk,
    http::{Access, Request, Route, of_shared_bytes, openapi::process},
    progress, words,
};

pub(crate) mod repeats;

pub use repeats::Repeats;

const BUILD: &str = "bookend_build_info";
const LEVELS: &str = "off, error, warn, info, debug, trace";
const BUILD_HELP: &str = "The build of this process; always 1";

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

words!(LogFormat: "human" => Human, "json" => Json);

/// Starts writing log lines to standard error. `filter` has the syntax of `tracing`, for example
/// `info` or `ingest=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = read_filter(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| progress::Lines);
    // On a terminal the library honours NO_COLOR; the lines of a file or a journal have no colours.
    let lines = if io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = lines.with_timer(ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned()));
    // A second call in one process, as in tests, changes nothing.
    match format {
        LogFormat::Human => lines.try_init().ok(),
        LogFormat::Json => lines.json().try_init().ok(),
    };
    Ok(())
}

/// Checks a filter before it is used.
pub fn check_filter(filter: &str) -> Result<(), String> {
    read_filter(filter).map(|_usable| ())
}

fn read_filter(filter: &str) -> Result<EnvFilter, String> {
    // A name alone would be a target, and hide the lines of all others.
    let is_known = |part: &str| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    let all_known = !filter.is_empty() && filter.split(',').map(str::trim).all(is_known);
    // At `info` the storage engine logs its housekeeping, which does not help an operator. Failures
    // of the Cassandra driver are reported by the code that uses it.
    // A client without any right can make the libraries of TLS and HTTP/2 warn without limit.
    let quiet = format!("fjall=warn,lsm_tree=warn,scylla=off,rustls=error,h2=error,{filter}");
    let filter = all_known.then(|| EnvFilter::try_new(quiet).ok()).flatten();
    filter.ok_or_else(|| format!("expected {LEVELS}, or a filter such as ingest=debug,info"))
}

/// Returns a registry with the metrics of every process: `bookend_build_info` and `process_*`.
pub fn registry(librdkafka: &str) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let opts = Opts::new(BUILD, BUILD_HELP);
    let build = IntGaugeVec::new(opts, &["version", "commit", "librdkafka"])?;
    build.with_label_values(&[build_info::VERSION, build_info::COMMIT, librdkafka]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

/// The health and the metrics of a process, as its routes report them.
pub struct Probes {
    registry: Registry,
    repeats: Repeats,
    ready: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Probes {
    /// Reports the metrics of `registry`; `ready` returns the cause when the process cannot serve.
    pub fn new<F>(registry: Registry, ready: impl Fn() -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Arc::new(Self {
            registry,
            repeats: Repeats::default(),
            ready: Box::new(move || Box::pin(ready())),
        })
    }

    fn metrics(&self) -> Response {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(text) => warp::reply::with_header(text, CONTENT_TYPE, prometheus::TEXT_FORMAT)
                .into_response(),
            Err(error) => {
                let text = format!("encoding the metrics failed: {error}\n");
                warp::reply::with_status(text, StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
        }
    }

    async fn readiness(&self, request: Request) -> Response {
        let ready = if request.connected.stopping {
            Err("the process is stopping".to_owned())
        } else {
            (self.ready)().await
        };
        match ready {
            Ok(()) => of_shared_bytes("ready\n".into_response()),
            Err(cause) => {
                // It may name hosts and files.
                let shown = if request.caller.may_know_causes() {
                    &cause
                } else {
                    if let Some(suppressed) = self.repeats.due(&cause) {
                        tracing::warn!(cause, suppressed, "the process is not ready");
                    }
                    "not ready"
                };
                warp::reply::with_status(format!("{shown}\n"), StatusCode::SERVICE_UNAVAILABLE)
                    .into_response()
            }
        }
    }
}

fn live() -> Response {
    of_shared_bytes("live\n".into_response())
}

/// The routes of every process: `/metrics`, `/livez` and `/readyz`.
#[must_use]
pub fn routes() -> Vec<Route<Probes>> {
    let full = disk::too_full(100 << 20, 256 << 20);
    let full = format!("the log is unavailable: {full}\n");
    let readiness = async |probes: Arc<Probes>, request| probes.readiness(request).await;
    let excerpt = format!("# HELP {BUILD} {BUILD_HELP}\n# TYPE {BUILD} gauge\n");
    vec![
        Route::get("/metrics", Access::Operate, async |probes: Arc<Probes>, _| probes.metrics())
            .described(process::metrics(&excerpt)),
        Route::get("/livez", Access::Public, async |_, _| live()).described(process::livez()),
        Route::get("/readyz", Access::Public, readiness).described(process::readyz(&full)),
        // Probes may be configured with a slash at the end.
        Route::get("/metrics/", Access::Operate, async |probes: Arc<Probes>, _| probes.metrics()),
        Route::get("/livez/", Access::Public, async |_, _| live()),
        Route::get("/readyz/", Access::Public, readiness),
    ]
}
