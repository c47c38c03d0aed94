//! The signals of the operating system, and the moments at which files are looked at.

use std::{future::Future, time::Duration};

use futures_util::Stream;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use crate::http::DrainEnd;

/// The time between two looks at a file that a service follows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Returns a future that completes on SIGTERM or SIGINT. The next signal ends the drain window;
/// after SIGINT, by which a person stops the process, it ends at once.
pub fn stopped() -> anyhow::Result<impl Future<Output = DrainEnd> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let by_person = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => true,
        };
        tracing::info!("signal received: finishing the requests in flight");
        if by_person {
            return DrainEnd::at_once();
        }
        DrainEnd::when(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    })
}

/// Returns a future that completes on SIGINT, for a command that sums up what it did so far.
pub fn interrupted() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// Returns a stream with an item whenever files that a service follows are to be looked at: each
/// second, and at SIGHUP.
pub fn looks() -> anyhow::Result<impl Stream<Item = ()> + Send + 'static> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut second = tokio::time::interval(LOOK_EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(async_stream::stream! {
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = second.tick() => {}
            }
            yield ();
        }
    })
}
