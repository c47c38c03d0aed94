//! The contract of `Store`: tests for every backend, and tests for each backend alone.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use shared::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, Fact, SessionFacts, SessionKey, SessionStart, Start},
    store::{Known, Sighting, Store, Window},
    timestamp::{RETENTION, Timestamp},
};
use test_support::stack;

#[path = "store_contract/cassandra.rs"]
mod cassandra;
#[path = "store_contract/embedded.rs"]
mod embedded;
#[path = "store_contract/facts.rs"]
mod facts;
#[path = "store_contract/retention.rs"]
mod retention;
#[path = "store_contract/rows.rs"]
mod rows;

/// One store of one backend. It can be reopened after the stores it returned are dropped.
trait Backend: Sized {
    async fn fresh() -> Self;
    /// Opens the store as a process does.
    async fn open(&self) -> Store;
    /// Waits until everything before `horizon` has expired, which must have been added at
    /// [`before`] or an instant close to it.
    async fn leave(&self, store: &Store, horizon: Timestamp);
    /// Removes the data of the test.
    async fn remove(self);
}

/// Defines one test per backend for each named function: `behaviour(backend)`.
macro_rules! contract {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_the_embedded_store {
            $(
                #[tokio::test]
                async fn $behaviour() {
                    crate::on::<crate::embedded::Room>(super::$behaviour).await;
                }
            )+
        }

        mod on_cassandra {
            $(
                #[tokio::test]
                async fn $behaviour() {
                    crate::on::<crate::cassandra::Keyspace>(super::$behaviour).await;
                }
            )+
        }
    };
}
pub(crate) use contract;

/// Runs a test on a fresh backend.
async fn on<B: Backend>(behaviour: impl AsyncFnOnce(&B)) {
    let backend = B::fresh().await;
    behaviour(&backend).await;
    backend.remove().await;
}

/// The time of the tests.
const NOW: i64 = 1_700_000_000_000;
/// Sessions that started before this are not returned.
const HORIZON: i64 = NOW - RETENTION;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn now() -> Timestamp {
    at(NOW)
}

fn horizon() -> Timestamp {
    at(HORIZON)
}

/// The last instant at which an event just before the horizon is accepted.
fn before() -> Timestamp {
    at(NOW - 1)
}

/// A key that some version accepted; the store keeps more than this version accepts.
fn key(user: &str, session: &str) -> SessionKey {
    SessionKey { user: UserId::stored(user).unwrap(), session: SessionId::stored(session).unwrap() }
}

fn country(name: &str) -> Country {
    Country::normalise(name)
}

fn start(ms: i64, name: &str) -> Fact {
    Fact::Start(Start { ts: at(ms), country: country(name) })
}

fn end(ms: i64) -> Fact {
    Fact::End(at(ms))
}

fn started(user: &str, session: &str, ms: i64, name: &str) -> SessionStart {
    key(user, session).started(&Start { ts: at(ms), country: country(name) })
}

fn completed(user: &str, session: &str, from: i64, name: &str, to: i64) -> CompletedSession {
    key(user, session).completed(&Start { ts: at(from), country: country(name) }, at(to))
}

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

/// All time.
fn ever() -> Window {
    Window { from: Timestamp::MIN, to: Timestamp::MAX }
}

async fn absorb(store: &Store, user: &str, session: &str, facts: &[Fact]) -> Known {
    absorb_at(store, user, session, facts, now()).await
}

async fn absorb_at(
    store: &Store,
    user: &str,
    session: &str,
    facts: &[Fact],
    now: Timestamp,
) -> Known {
    let sighting = Sighting { key: key(user, session), facts: facts.to_vec() };
    store.absorb(vec![sighting], now).await.unwrap().remove(0)
}

async fn facts(store: &Store, user: &str, session: &str) -> SessionFacts {
    store.facts(&key(user, session)).await.unwrap()
}

async fn starts(store: &Store, name: &str, window: Window) -> Vec<SessionStart> {
    store.starts(&country(name), window, None, 1_000).await.unwrap()
}

/// The same, read in pieces of `size`, with as little read ahead as possible.
async fn starts_in_pieces(store: &Store, name: &str, size: usize) -> Vec<SessionStart> {
    let pieces = store.all_starts(country(name), ever(), None, size, 1);
    let pieces: Vec<Vec<SessionStart>> = pieces.try_collect().await.unwrap();
    let is_full = |piece: &Vec<SessionStart>| piece.len() == size;
    assert!(pieces.iter().rev().skip(1).all(is_full), "only the last piece is smaller");
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    pieces.concat()
}

/// The number of starts of one country in each slot.
async fn counts(store: &Store, name: &str, window: Window, step: i64) -> BTreeMap<Timestamp, u64> {
    store.count_starts(vec![country(name)], window, step).await.unwrap().remove(0)
}

/// The countries that have a start at or after `horizon`.
async fn countries(store: &Store, horizon: Timestamp) -> Vec<Country> {
    let known = store.countries(horizon, None, usize::MAX).await.unwrap();
    known.into_iter().map(|(country, _)| country).collect()
}

async fn sessions_of(store: &Store, user: &str) -> Vec<CompletedSession> {
    store.completed(&UserId::stored(user).unwrap(), Timestamp::MIN, None, 1_000).await.unwrap()
}

/// Every session in the store, in pages of two.
async fn scan(store: &Store) -> Vec<(SessionKey, SessionFacts)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let more = store.scan(after, 2).await.unwrap();
        let Some((last, _)) = more.last() else { return all };
        after = Some(last.clone());
        all.extend(more);
    }
}
