//! Running the program `query-api`, which answers queries from Cassandra.

use std::{future::Future, sync::Arc};

use shared::{
    http::{self, DrainEnd, Router},
    store::cassandra::{OnRetry, Trial},
    telemetry::{self, Probes},
};
use tokio::net::TcpListener;

use crate::{QueryMetrics, QueryService, config::QueryConfig};

/// Answers queries until `shutdown` resolves, then finishes the requests in flight.
pub async fn run(
    config: QueryConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = DrainEnd> + Send,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let registry = telemetry::registry("none")?;
    let metrics = Arc::new(QueryMetrics::new(&registry)?);
    let store = config.store.start(OnRetry::default(), &[Trial::Read])?;
    store.watch(&registry)?;
    let service = QueryService::new(store.clone(), config.process.clock(), metrics, config.options);
    let ready = move || {
        let store = store.clone();
        async move { store.ready().await.map_err(|error| error.to_string()) }
    };
    let listener = config.process.secured(listener, &registry)?;
    let router = Router::default()
        .with(&Arc::new(service), crate::routes())
        .with(&Probes::new(registry, ready), telemetry::routes());
    tracing::info!(%address, "serving");
    http::serve(listener, router.into_filter()?, config.process.connections(), shutdown).await;
    tracing::info!("stopped");
    Ok(())
}
