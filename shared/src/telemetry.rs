//! What every process tells about itself: logs, `/metrics`, `/livez` and `/readyz`.
//!
//! A log line never holds a body or a secret. `/livez` never looks at what the process depends on; `/readyz` does.

use std::{
    future::Future,
    io::{self, IsTerminal},
    str::FromStr,
};

use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder, process_collector::ProcessCollector};
use tracing_subscriber::{EnvFilter, fmt::time::ChronoUtc};
use warp::{Filter, Reply, filters::BoxedFilter, http::StatusCode, reply::Response};

use crate::{build_info, progress};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("it is neither `human` nor `json`"),
        }
    }
}

/// Writes log lines to standard error from now on; `filter` is tracing's, for example `info` or `ingest=debug`.
///
/// # Errors
/// Says what is wrong with the filter.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = read_filter(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| progress::Lines);
    // On a terminal the library looks at NO_COLOR by itself; a file or a journal is never coloured.
    let lines = if io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = lines.with_timer(ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned()));
    // A second call in one process, as tests make it, leaves the first in force.
    match format {
        LogFormat::Human => lines.try_init().ok(),
        LogFormat::Json => lines.json().try_init().ok(),
    };
    Ok(())
}

/// Says what is wrong with a filter, before it is used.
///
/// # Errors
/// In words for who wrote it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    read_filter(filter).map(|_usable| ())
}

fn read_filter(filter: &str) -> Result<EnvFilter, String> {
    // The engine tells of its own housekeeping at `info`, which says nothing to whom this service is new.
    EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{filter}"))
        .map_err(|error| error.to_string())
}

/// A registry with what every process shows: `bookend_build_info` and the `process_*` metrics.
///
/// # Errors
/// [`prometheus::Error`] when a name is taken, which is a defect.
pub fn registry(librdkafka: &str) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let opts = Opts::new("bookend_build_info", "The build of this process; always 1");
    let build = IntGaugeVec::new(opts, &["version", "commit", "librdkafka"])?;
    build.with_label_values(&[build_info::VERSION, build_info::COMMIT, librdkafka]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

/// The methods that `path` takes in [`routes`]; none for a path that is not among them.
#[must_use]
pub fn methods(path: &str) -> &'static [&'static str] {
    if matches!(path, "/metrics" | "/livez" | "/readyz") { &["GET", "HEAD"] } else { &[] }
}

/// `/metrics`, `/livez` and `/readyz`. `ready` answers with the reason why the process cannot serve.
pub fn routes<F>(
    registry: Registry,
    ready: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> BoxedFilter<(Response,)>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let metrics = warp::path!("metrics").map(move || {
        match TextEncoder::new().encode_to_string(&registry.gather()) {
            Ok(text) => warp::reply::with_header(text, "content-type", prometheus::TEXT_FORMAT)
                .into_response(),
            Err(error) => {
                warp::reply::with_status(error.to_string(), StatusCode::INTERNAL_SERVER_ERROR)
                    .into_response()
            }
        }
    });
    let live = warp::path!("livez").map(|| "live\n".into_response());
    let ready = warp::path!("readyz").then(move || {
        let ready = ready();
        async move {
            match ready.await {
                Ok(()) => "ready\n".into_response(),
                Err(cause) => {
                    warp::reply::with_status(format!("{cause}\n"), StatusCode::SERVICE_UNAVAILABLE)
                        .into_response()
                }
            }
        }
    });
    warp::get().or(warp::head()).unify().and(metrics.or(live).unify().or(ready).unify()).boxed()
}
