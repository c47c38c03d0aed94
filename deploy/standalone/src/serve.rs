//! Both services in one process, on one port, over one data directory.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use ingest::{
    consumer::Consumer,
    http::Endpoint,
    log::Log,
    metrics::{ConsumerMetrics, IngestMetrics},
    pairing, retention,
};
use query_api::{QueryMetrics, QueryOptions};
use shared::{
    files,
    http::{self, ServeOptions},
    store::Store,
    telemetry,
};
use tokio::{net::TcpListener, sync::watch};
use warp::Filter;

mod config;

pub use self::config::{ServeConfig, settings};

/// How often the lag is looked at while nothing is committed.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Serves until `shutdown`; then finishes the requests under way, and then what was polled.
///
/// # Errors
/// When the data directory cannot be used, or the log or the store fails for good.
pub async fn run(
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let clock = config.clock();
    let (log, store) = (config.open_log(clock)?, config.open_store()?);
    let registry = telemetry::registry("none")?;
    let consumer = Consumer {
        log: log.clone(),
        store: store.clone(),
        clock,
        metrics: Arc::new(ConsumerMetrics::new(&registry)?),
        options: config.consumer,
        decide: pairing::decide,
    };
    let endpoint =
        Endpoint::new(log.clone(), clock, Arc::new(IngestMetrics::new(&registry)?), config.endpoint);
    let query =
        QueryOptions { future_tolerance_ms: config.endpoint.future_tolerance_ms, ..QueryOptions::default() };
    let query = query_api::routes(store.clone(), clock, Arc::new(QueryMetrics::new(&registry)?), query);
    let routes = telemetry::routes(registry, ready(&log, &store));
    let routes = routes.or(Arc::new(endpoint).routes()).unify().or(query).unify();
    let routes = http::or_unknown(routes.boxed(), methods);

    let retention = tokio::spawn(retention::run(store.clone(), clock));
    let lag = tokio::spawn(show_lag(consumer.clone()));
    let (stop, mut stopped) = watch::channel(());
    let mut consuming =
        tokio::spawn(consumer.run(async move { stopped.changed().await.map_or((), |()| ()) }));
    tracing::info!(address = %listener.local_addr()?, data_dir = %config.data_dir.display(), "serving");
    let mut failed = None;
    let until = async {
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            outcome = &mut consuming => failed = Some(outcome),
        }
    };
    http::serve(listener, routes, connections(config.connections), until).await;
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

/// No more connections than there is room for beside the files of the log and the store.
fn connections(wanted: ServeOptions) -> ServeOptions {
    let room = files::room_for_connections();
    if room < wanted.max_connections {
        tracing::warn!(
            room,
            wanted = wanted.max_connections,
            "the limit on open files allows fewer connections"
        );
    }
    ServeOptions { max_connections: wanted.max_connections.min(room), ..wanted }
}

/// The methods that `path` takes.
fn methods(path: &str) -> Vec<&'static str> {
    let ingest = ingest::http::methods(path).iter();
    ingest.chain(query_api::methods(path)).chain(telemetry::methods(path)).copied().collect()
}

fn ready(
    log: &Log,
    store: &Store,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Clone + Send + Sync + 'static
{
    let (log, store) = (log.clone(), store.clone());
    move || {
        let (log, store) = (log.clone(), store.clone());
        Box::pin(async move {
            log.ready().map_err(|error| error.to_string())?;
            store.ready().await.map_err(|error| error.to_string())
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
