//! Running: the consumer beside whatever is served, and the program that does both on Kafka and Cassandra.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use shared::{
    http::{self, ServeOptions, openapi},
    store::Store,
    telemetry,
};
use tokio::{net::TcpListener, sync::watch};
use warp::{Filter, reply::Response};

use crate::{
    config::{IngestConfig, Role},
    consumer::Consumer,
    http::Endpoint,
    log::Log,
    metrics::{ConsumerMetrics, IngestMetrics},
    retention,
};

/// How often the lag is looked at while nothing is committed.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Serves until `shutdown`; then finishes the requests under way, and then what was polled.
///
/// # Errors
/// When Kafka or Cassandra cannot be used at all, or fails for good.
pub async fn run(
    config: IngestConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let clock = config.process.clock();
    let registry = telemetry::registry(&crate::log::kafka::librdkafka_version())?;
    let store = async {
        match config.role {
            Role::Http => anyhow::Ok(None),
            Role::Consumer | Role::Both => {
                let metrics = Arc::new(ConsumerMetrics::new(&registry)?);
                Ok(Some((config.store.open(metrics.on_store_retry()).await?, metrics)))
            }
        }
    };
    let (log, store) = tokio::try_join!(config.log.open(clock), store)?;
    let consumer = store.map(|(store, metrics)| {
        Consumer::new(log.clone(), store, clock, metrics, config.limits.consumer)
    });
    let endpoint = match config.role {
        Role::Consumer => None,
        Role::Http | Role::Both => {
            let metrics = Arc::new(IngestMetrics::new(&registry)?);
            Some(Arc::new(Endpoint::new(log.clone(), clock, metrics, config.limits.endpoint)))
        }
    };
    let takes_batches = endpoint.is_some();
    let methods = move |path: &str| {
        let batches = if takes_batches { crate::http::methods(path) } else { &[] };
        batches
            .iter()
            .chain(telemetry::methods(path))
            .chain(openapi::methods(path))
            .copied()
            .collect()
    };
    let own = telemetry::routes(
        registry,
        ready(log.clone(), consumer.as_ref().map(|consumer| consumer.store.clone())),
    );
    let calls = if takes_batches { crate::http::openapi::calls() } else { Vec::new() };
    let own = own.or(openapi::routes(&openapi::document(calls))).unify().boxed();
    let routes = match endpoint {
        Some(endpoint) => own.or(endpoint.routes()).unify().boxed(),
        None => own,
    };
    tracing::info!(address = %listener.local_addr()?, role = ?config.role, "serving");
    serve(
        log,
        consumer,
        listener,
        http::or_unknown(routes, methods),
        config.process.connections(),
        shutdown,
    )
    .await
}

/// Serves `routes` until `shutdown`, and consumes beside it where there is a consumer; first ends what is served, and then
/// what was polled.
///
/// # Errors
/// When the consumer has failed for good, which ends everything.
pub async fn serve(
    log: Log,
    consumer: Option<Consumer>,
    listener: TcpListener,
    routes: impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    connections: ServeOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let Some(consumer) = consumer else {
        http::serve(listener, routes, connections, shutdown).await;
        log.close().await;
        tracing::info!("stopped");
        return Ok(());
    };
    let retention = tokio::spawn(retention::run(consumer.store.clone(), consumer.clock));
    let lag = tokio::spawn(show_lag(consumer.clone()));
    let (stop, mut stopped) = watch::channel(());
    let mut consuming =
        tokio::spawn(consumer.run(async move { stopped.changed().await.map_or((), |()| ()) }));
    let mut failed = None;
    let until = async {
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            outcome = &mut consuming => failed = Some(outcome),
        }
    };
    http::serve(listener, routes, connections, until).await;
    drop(stop);
    let outcome = match failed {
        Some(outcome) => outcome,
        None => consuming.await,
    };
    retention.abort();
    lag.abort();
    log.close().await;
    outcome.context("the consumer was lost")?.context("the consumer stopped")?;
    tracing::info!("stopped");
    Ok(())
}

/// Whether the log, and the store where there is one, can serve.
pub fn ready(
    log: Log,
    store: Option<Store>,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    move || {
        let (log, store) = (log.clone(), store.clone());
        Box::pin(async move {
            log.ready().map_err(|error| error.to_string())?;
            match store {
                Some(store) => store.ready().await.map_err(|error| error.to_string()),
                None => Ok(()),
            }
        })
    }
}

async fn show_lag(consumer: Consumer) {
    let mut tick = tokio::time::interval(LAG_INTERVAL);
    loop {
        tick.tick().await;
        consumer.show_lag();
    }
}
