//! Running: the program that answers from Cassandra.

use std::{future::Future, sync::Arc};

use shared::{
    http::{self, openapi},
    store::cassandra::OnRetry,
    telemetry,
};
use tokio::net::TcpListener;
use warp::Filter;

use crate::{QueryMetrics, config::QueryConfig};

/// Answers until `shutdown`, and then finishes the requests under way.
///
/// # Errors
/// When the store cannot be used at all.
pub async fn run(
    config: QueryConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let registry = telemetry::registry("none")?;
    let metrics = Arc::new(QueryMetrics::new(&registry)?);
    let store = config.store.open(OnRetry::default()).await?;
    let own = telemetry::routes(registry, {
        let store = store.clone();
        move || {
            let store = store.clone();
            async move { store.ready().await.map_err(|error| error.to_string()) }
        }
    });
    let own = own.or(openapi::routes(&openapi::document(crate::calls()))).unify();
    let routes = own
        .or(crate::routes(store, config.process.clock(), metrics, config.options))
        .unify()
        .boxed();
    let known = |path: &str| {
        let own = telemetry::methods(path).iter().chain(openapi::methods(path));
        crate::methods(path).iter().chain(own).copied().collect()
    };
    tracing::info!(address = %listener.local_addr()?, "serving");
    http::serve(listener, http::or_unknown(routes, known), config.process.connections(), shutdown)
        .await;
    tracing::info!("stopped");
    Ok(())
}
