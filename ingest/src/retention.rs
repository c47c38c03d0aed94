//! Retention: repeated slow sweeps over the store, which remove what is older than the retention.
//!
//! Queries do not depend on it: reads skip expired rows, swept or not.

use std::time::Duration;

use shared::{
    clock::Clock,
    store::Store,
    timestamp::{MARGIN, RETENTION},
};

/// The pause between two steps, so that a sweep uses a small share of the store's time.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// The delay of the first sweep: a process that has just started has more urgent work.
const FIRST_DELAY: Duration = Duration::from_secs(60);
/// The pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(3_600);

/// Sweeps until it is aborted.
pub async fn run(store: Store, clock: Clock) {
    tokio::time::sleep(FIRST_DELAY).await;
    loop {
        let mut place = None;
        loop {
            match store.sweep(clock.now() - RETENTION - MARGIN, place.take()).await {
                Ok(Some(next)) => place = Some(next),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "expired rows could not be removed; the next sweep retries");
                    break;
                }
            }
            tokio::time::sleep(STEP_PAUSE).await;
        }
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
}
