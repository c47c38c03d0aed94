//! Running the program `query-api`, which answers queries from Cassandra.

use std::{future::Future, sync::Arc};

use shared::{
    http::{DrainEnd, Listeners, Ports, Router},
    store::cassandra::{OnRetry, Trial},
    telemetry::{self, Probes},
};

use crate::{QueryMetrics, QueryService, config::QueryConfig};

/// Answers queries until `shutdown` resolves, then finishes the requests in flight.
pub async fn run(
    config: QueryConfig,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = DrainEnd> + Send,
) -> anyhow::Result<()> {
    let registry = telemetry::registry("none")?;
    let metrics = Arc::new(QueryMetrics::new(&registry)?);
    let store = config.store.start(OnRetry::default(), &[Trial::Read])?;
    store.watch(&registry)?;
    let service = QueryService::new(store.clone(), config.process.clock(), metrics, config.options);
    let ready = move || {
        let store = store.clone();
        async move { store.ready().await.map_err(|error| error.to_string()) }
    };
    let tls = config.process.start_tls(&registry)?;
    let (gate, watching) = config.process.gate(&registry)?;
    tokio::spawn(watching);
    let routes = Router::default().with(&Arc::new(service), crate::routes());
    let probes = Router::default().with(&Probes::new(registry, ready), telemetry::routes());
    let ports = Ports::new(listeners.into(), gate, routes, probes)?.secured(tls);
    tracing::info!(address = %ports.address()?, "serving");
    ports.serve(config.process.connections(), shutdown).await;
    tracing::info!("stopped");
    Ok(())
}
