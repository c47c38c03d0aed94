//! Retention: a slow, endless walk over the store that removes what is more than a year old.
//!
//! No answer waits for it: reads leave out what is too old, swept or not.

use std::time::Duration;

use shared::{
    clock::Clock,
    store::Store,
    timestamp::{DAY, RETENTION},
};

/// How much longer than the retention a row may stay in the store, in milliseconds.
const MARGIN: i64 = DAY;
/// Between two steps: the walk takes a small share of the store's time.
const PAUSE: Duration = Duration::from_millis(50);
/// Before the first walk: a process that has just begun has more urgent things to do.
const FIRST: Duration = Duration::from_secs(60);
/// Between two walks.
const REST: Duration = Duration::from_secs(3_600);

/// Walks for ever.
pub async fn run(store: Store, clock: Clock) {
    tokio::time::sleep(FIRST).await;
    loop {
        let mut place = None;
        loop {
            match store.sweep(clock.now() - RETENTION - MARGIN, place.take()).await {
                Ok(Some(next)) => place = Some(next),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "what is too old could not be removed; it is tried again later");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(REST).await;
    }
}
