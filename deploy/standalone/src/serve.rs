//! The command `serve`: the endpoint, the consumer and the query service in one process, on one
//! port.

use std::{future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use ingest::{
    consumer::Consumer,
    http::Endpoint,
    log::kafka,
    metrics::{ConsumerMetrics, IngestMetrics},
    replay::{self, Replay},
    service,
};
use query_api::{QueryMetrics, QueryService};
use shared::{
    http::{self, DrainEnd, Listeners, Ports, Route, Router, openapi::OpenApi},
    store::cassandra::Trial,
    telemetry::{self, Probes},
};

mod config;

pub use self::config::{ServeConfig, settings};

/// Serves until `shutdown` resolves, then finishes the requests in flight and after them the
/// records that were polled.
pub async fn run(
    config: ServeConfig,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = DrainEnd> + Send,
) -> anyhow::Result<()> {
    let clock = config.process.clock();
    let registry = telemetry::registry(&kafka::librdkafka_version())?;
    let metrics = Arc::new(ConsumerMetrics::new(&registry)?);
    let store = config.store.start(metrics.on_store_retry(), &[Trial::Read, Trial::Write])?;
    let log = config.log.open(clock).await?;
    log.watch(&registry)?;
    store.watch(&registry)?;
    let replay = replay::align(&log, &store, &metrics).await?;
    let consumer =
        Consumer::new(log.clone(), store.clone(), clock, metrics, config.limits.consumer);
    let ingest_metrics = Arc::new(IngestMetrics::new(&registry)?);
    let endpoint = Endpoint::new(log.clone(), clock, ingest_metrics, config.limits.endpoint);
    let endpoint = Arc::new(endpoint);
    let metrics = Arc::new(QueryMetrics::new(&registry)?);
    let queries = QueryService::new(store, clock, metrics, config.queries);
    let ready = service::ready(log.clone(), Some(Arc::clone(&endpoint)), Some(consumer.clone()));
    let ready = unless_replaying(replay.clone(), ready);
    let routes = Router::default()
        .with(&endpoint, ingest::http::routes())
        .with(&Arc::new(queries), query_api::routes());
    let tls = config.process.start_tls(&registry)?;
    let (gate, watching) = config.process.gate(&registry)?;
    tokio::spawn(watching);
    let probes = Router::default().with(&Probes::new(registry, ready), telemetry::routes());
    let ports = Ports::new(listeners.into(), gate, routes, probes)?.secured(tls);
    tracing::info!(address = %ports.address()?, data_dir = %config.data_dir.display(), "serving");
    let showing = replay.map(|replay| tokio::spawn(replay.show()));
    let connections = config.process.connections();
    let done = service::serve(log, Some(consumer), ports, connections, shutdown).await;
    if let Some(showing) = showing {
        showing.abort();
    }
    done
}

/// The readiness check `ready`, which fails during a replay.
fn unless_replaying(
    replay: Option<Replay>,
    ready: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
) -> impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static {
    move || match replay.as_ref().and_then(Replay::pending) {
        Some(cause) => Box::pin(async { Err(cause) }),
        None => ready(),
    }
}

/// The OpenAPI document of both services, which is `specification/openapi.json`.
#[must_use]
pub fn description() -> OpenApi {
    let ingest = ingest::http::routes();
    let queries = query_api::routes();
    let process = telemetry::routes();
    let calls = ingest.iter().filter_map(Route::description);
    let calls = calls.chain(queries.iter().filter_map(Route::description));
    http::document(calls.chain(process.iter().filter_map(Route::description)))
}
