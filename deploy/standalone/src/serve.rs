//! Both services in one process, on one port.

use std::{future::Future, sync::Arc};

use ingest::{
    consumer::Consumer,
    http::Endpoint,
    log::kafka,
    metrics::{ConsumerMetrics, IngestMetrics},
    service,
};
use query_api::{QueryMetrics, QueryOptions};
use shared::{
    http::{
        self,
        openapi::{self, OpenApi},
    },
    telemetry,
};
use tokio::net::TcpListener;
use warp::Filter;

mod config;

pub use self::config::{ServeConfig, settings};

/// Serves until `shutdown`; then finishes the requests under way, and then what was polled.
///
/// # Errors
/// When the log or the store cannot be used at all, or fails for good.
pub async fn run(
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let clock = config.process.clock();
    let registry = telemetry::registry(&kafka::librdkafka_version())?;
    let metrics = Arc::new(ConsumerMetrics::new(&registry)?);
    let store = config.store.open(metrics.on_store_retry()).await?;
    let log = config.log.open(clock).await?;
    let consumer =
        Consumer::new(log.clone(), store.clone(), clock, metrics, config.limits.consumer);
    let future_tolerance_ms = config.limits.endpoint.future_tolerance_ms;
    let endpoint = Endpoint::new(
        log.clone(),
        clock,
        Arc::new(IngestMetrics::new(&registry)?),
        config.limits.endpoint,
    );
    let query = QueryOptions { future_tolerance_ms, ..QueryOptions::default() };
    let query =
        query_api::routes(store.clone(), clock, Arc::new(QueryMetrics::new(&registry)?), query);
    let routes = telemetry::routes(registry, service::ready(log.clone(), Some(store)));
    let routes = routes.or(openapi::routes(&description())).unify();
    let routes = routes.or(Arc::new(endpoint).routes()).unify().or(query).unify();
    let routes = http::or_unknown(routes.boxed(), methods);
    tracing::info!(address = %listener.local_addr()?, data_dir = %config.data_dir.display(), "serving");
    service::serve(log, Some(consumer), listener, routes, config.process.connections(), shutdown)
        .await
}

/// What both services take, described as one: `specification/openapi.json`.
#[must_use]
pub fn description() -> OpenApi {
    openapi::document(ingest::http::openapi::calls().into_iter().chain(query_api::calls()))
}

/// The methods that `path` takes.
fn methods(path: &str) -> Vec<&'static str> {
    let own = telemetry::methods(path).iter().chain(openapi::methods(path));
    let ingest = ingest::http::methods(path).iter();
    ingest.chain(query_api::methods(path)).chain(own).copied().collect()
}
