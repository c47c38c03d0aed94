//! The directory of the embedded store: one owner, a disk reserve, and the steps of a sweep.

use shared::{
    store::{
        Effect, EmbeddedStore, Sighting, Store, StoreError,
        embedded::{EmbeddedStoreOpenError, EmbeddedStoreOptions},
    },
    timestamp::Timestamp,
};
use tempfile::TempDir;

use crate::{
    Backend, HORIZON, NOW, absorb, end, ever, facts, horizon, key, now, start, started, starts,
};

/// The directory of a store.
pub(crate) struct Room(TempDir);

impl Room {
    fn try_open(&self, reserve_bytes: u64) -> Result<Store, EmbeddedStoreOpenError> {
        let options = EmbeddedStoreOptions {
            cache_bytes: 4 << 20,
            write_buffer_bytes: 8 << 20,
            reserve_bytes,
        };
        EmbeddedStore::open(self.0.path(), options).map(Store::Embedded)
    }

    /// Sweeps to the end. Returns the number of steps.
    async fn sweep(&self, store: &Store, horizon: Timestamp) -> usize {
        let (mut after, mut steps) = (None, 0);
        loop {
            after = store.sweep(horizon, after).await.unwrap();
            steps += 1;
            if after.is_none() {
                return steps;
            }
        }
    }
}

impl Backend for Room {
    async fn fresh() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open(&self) -> Store {
        self.try_open(0).unwrap()
    }

    async fn leave(&self, store: &Store, horizon: Timestamp) {
        self.sweep(store, horizon).await;
    }

    async fn remove(self) {}
}

#[tokio::test]
async fn a_second_owner_is_told_that_it_is_locked() {
    let room = Room::fresh().await;
    let store = room.open().await;
    assert!(matches!(room.try_open(0), Err(EmbeddedStoreOpenError::Locked)));
    drop(store);
    room.try_open(0).unwrap();
}

#[tokio::test]
async fn without_room_on_the_disk_it_takes_nothing_and_loses_nothing() {
    let room = Room::fresh().await;
    let store = room.open().await;
    let known = absorb(&store, "u", "s", &[start(NOW, "SK")]).await.facts;
    let row = started("u", "s", NOW, "SK");
    store.apply(vec![Effect::RecordStart(row.clone())], now()).await.unwrap();
    drop(store);

    let store = room.try_open(u64::MAX).unwrap();
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    let sighting = Sighting { key: key("u", "s"), facts: vec![end(NOW)] };
    assert!(matches!(store.absorb(vec![sighting], now()).await, Err(StoreError::Unavailable(_))));
    let effects = vec![Effect::SupersedeStart(row.clone())];
    assert!(matches!(store.apply(effects, now()).await, Err(StoreError::Unavailable(_))));
    assert_eq!(facts(&store, "u", "s").await, known);
    assert_eq!(starts(&store, "SK", ever()).await, [row]);
    store.persist().await.unwrap();
    drop(store);

    let store = room.open().await;
    store.ready().await.unwrap();
    assert_eq!(facts(&store, "u", "s").await, known);
    assert_eq!(absorb(&store, "u", "s", &[end(NOW)]).await.facts.ends().len(), 1);
}

/// A sweep frees space, so it must proceed when other writes are refused.
#[tokio::test]
async fn without_room_on_the_disk_a_sweep_goes_on() {
    let room = Room::fresh().await;
    absorb(&room.open().await, "u", "s", &[end(NOW)]).await;
    let store = room.try_open(u64::MAX).unwrap();
    assert_eq!(store.sweep(crate::at(NOW + 1), None).await.unwrap(), None);
    assert!(facts(&store, "u", "s").await.is_empty());
}

#[tokio::test]
async fn a_sweep_goes_over_all_sessions_in_steps() {
    let room = Room::fresh().await;
    let store = room.open().await;
    let mut sightings = Vec::new();
    for n in 0..5_000 {
        let ms = if n % 2 == 0 { HORIZON - 1 } else { HORIZON };
        let key = key(&format!("user-{}", n % 70), &format!("s{n}"));
        sightings.push(Sighting { key, facts: vec![end(ms)] });
    }
    store.absorb(sightings, now()).await.unwrap();
    assert!(room.sweep(&store, horizon()).await > 1, "a step is bounded");
    let left = store.scan(None, 10_000).await.unwrap();
    assert_eq!(left.len(), 2_500);
    assert!(left.iter().all(|(key, _)| key.session.as_str()[1..].parse::<i32>().unwrap() % 2 == 1));
}
