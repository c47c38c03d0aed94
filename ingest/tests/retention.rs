//! Retention removes what is more than a year old from the store, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use ingest::retention;
use shared::{
    clock::Clock,
    event::{SessionId, UserId},
    session::{Fact, SessionKey},
    store::{EmbeddedStore, Sighting, Store, embedded::EmbeddedStoreOptions},
    timestamp::{DAY, HOUR, RETENTION, Timestamp},
};

/// Longer than the delay of the first sweep.
const BEGUN: Duration = Duration::from_secs(3_600);

fn key(session: &str) -> SessionKey {
    SessionKey { user: UserId::new("u").unwrap(), session: SessionId::new(session).unwrap() }
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_a_year_and_the_margin_old_leaves_the_store_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedStoreOptions { reserve_bytes: 0, ..EmbeddedStoreOptions::default() };
    let store = Store::Embedded(EmbeddedStore::open(dir.path(), options).unwrap());
    let old = Timestamp::parse("2025-01-01T00:00:00Z").unwrap();
    let end = |session, ts| Sighting { key: key(session), facts: vec![Fact::End(ts)] };
    store.absorb(vec![end("old", old), end("young", old + HOUR)], old + HOUR).await.unwrap();

    // The first instant at which the old session is past the year and its margin of a day.
    let walking =
        tokio::spawn(retention::run(store.clone(), Clock::starting_at(old + RETENTION + DAY + 1)));
    tokio::task::yield_now().await;
    assert!(!store.facts(&key("old")).await.unwrap().is_empty());
    tokio::time::advance(BEGUN).await;
    while !store.facts(&key("old")).await.unwrap().is_empty() {
        assert!(!walking.is_finished());
        tokio::task::yield_now().await;
    }
    assert!(!store.facts(&key("young")).await.unwrap().is_empty());
    walking.abort();
}
