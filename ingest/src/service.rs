//! Running a process: the consumer and the HTTP server until the shutdown, and the program
//! `ingest`, which runs one of them or both on Kafka and Cassandra.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future::BoxFuture;
use shared::{
    http::{DrainEnd, Listeners, Ports, Router, ServeOptions},
    store::cassandra::Trial,
    telemetry::{self, Probes},
};
use tokio::sync::watch;

use crate::{
    config::{IngestConfig, Role},
    consumer::Consumer,
    http::Endpoint,
    log::Log,
    metrics::{ConsumerMetrics, IngestMetrics},
    retention,
};

/// The interval at which the lag is measured while nothing is committed.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the program `ingest` until `shutdown` resolves, then finishes the requests in flight and
/// then the records that were polled.
pub async fn run(
    config: IngestConfig,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = DrainEnd> + Send,
) -> anyhow::Result<()> {
    let clock = config.process.clock();
    let registry = telemetry::registry(&crate::log::kafka::librdkafka_version())?;
    let log = config.log.open(clock).await?;
    log.watch(&registry)?;
    let consumer = match config.role {
        Role::Http => None,
        Role::Consumer | Role::Both => {
            let metrics = Arc::new(ConsumerMetrics::new(&registry)?);
            let store = config.store.start(metrics.on_store_retry(), &[Trial::Write])?;
            store.watch(&registry)?;
            Some(Consumer::new(log.clone(), store, clock, metrics, config.limits.consumer))
        }
    };
    let mut router = Router::default();
    let mut endpoint = None;
    if config.role != Role::Consumer {
        let metrics = Arc::new(IngestMetrics::new(&registry)?);
        let serving = Endpoint::new(log.clone(), clock, metrics, config.limits.endpoint);
        let serving = endpoint.insert(Arc::new(serving));
        router = router.with(serving, crate::http::routes());
    }
    let ready = ready(log.clone(), endpoint, consumer.clone());
    let tls = config.process.start_tls(&registry)?;
    let (gate, watching) = config.process.gate(&registry)?;
    tokio::spawn(watching);
    let probes = Router::default().with(&Probes::new(registry, ready), telemetry::routes());
    let ports = Ports::new(listeners.into(), gate, router, probes)?.secured(tls);
    tracing::info!(address = %ports.address()?, role = ?config.role, "serving");
    serve(log, consumer, ports, config.process.connections(), shutdown).await
}

/// Serves `ports` and runs the consumer, if there is one, until `shutdown` resolves, as
/// [`Ports::serve`] does. Then finishes the requests in flight and after them the records that were
/// polled.
pub async fn serve(
    log: Log,
    consumer: Option<Consumer>,
    ports: Ports,
    connections: ServeOptions,
    shutdown: impl Future<Output = DrainEnd> + Send,
) -> anyhow::Result<()> {
    let Some(consumer) = consumer else {
        ports.serve(connections, shutdown).await;
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
            end = &mut shutdown => end,
            outcome = &mut consuming => {
                failed = Some(outcome);
                DrainEnd::at_once()
            }
        }
    };
    ports.serve(connections, until).await;
    drop(stop);
    let outcome = match failed {
        Some(outcome) => outcome,
        None => consuming.await,
    };
    retention.abort();
    lag.abort();
    log.close().await;
    outcome.context("the task of the consumer panicked")?.context("the consumer failed")?;
    tracing::info!("stopped");
    Ok(())
}

/// Returns the readiness check of a process that uses `log`, and runs `endpoint` and `consumer` if
/// it has them.
pub fn ready(
    log: Log,
    endpoint: Option<Arc<Endpoint>>,
    consumer: Option<Consumer>,
) -> impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static {
    move || {
        let (log, endpoint, consumer) = (log.clone(), endpoint.clone(), consumer.clone());
        Box::pin(async move {
            if let Some(endpoint) = endpoint {
                endpoint.ready().map_err(|error| error.to_string())?;
            }
            let Some(consumer) = consumer else {
                return log.ready().map_err(|error| error.to_string());
            };
            log.ready_to_consume().map_err(|error| error.to_string())?;
            consumer.store.ready().await.map_err(|error| error.to_string())?;
            consumer.refusal().map_or(Ok(()), Err)
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
