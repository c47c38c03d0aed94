//! Forces the race of two consumers that share only one Cassandra: they handle the two halves of
//! two thousand sessions at the same instant, conflicting facts included.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};

use ingest::pairing::{Arrival, decide};
use shared::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, Fact, SessionKey, SessionStart, Start},
    store::{
        CassandraStore, Sighting, Store, Window,
        cassandra::{CassandraOptions, setup},
    },
    timestamp::{MINUTE, Timestamp},
};
use test_support::stack::Stack;
use tokio::sync::Barrier;

const SESSIONS: i64 = 2_000;
/// The number of sessions that a consumer handles in one step.
const STEP: usize = 100;
const USERS: i64 = 50;
const NOW: i64 = 1_700_000_000_000;
const COUNTRIES: [&str; 3] = ["AT", "DE", "SK"];

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn start(ms: i64, country: &str) -> Fact {
    Fact::Start(Start { ts: at(ms), country: Country::normalise(country) })
}

/// The facts of session `number` for the first consumer, and those for the second.
fn halves(number: i64) -> (Vec<Fact>, Vec<Fact>) {
    let begun = NOW - SESSIONS * MINUTE + number * MINUTE;
    let country = COUNTRIES[usize::try_from(number % 3).unwrap()];
    let (one, other) = (vec![start(begun, country)], vec![Fact::End(at(begun + MINUTE))]);
    let more = |mut facts: Vec<Fact>, fact| {
        facts.push(fact);
        facts
    };
    match number % 5 {
        0 => (one, other),
        // A smaller start in another country beside the end; a smaller end beside the start.
        1 => (one, more(other, start(begun - 1, "ZZ"))),
        2 => (more(one, Fact::End(at(begun + 1))), other),
        // Both consumers handle the same facts, with a conflict.
        3 => (
            more(one, Fact::End(at(begun + MINUTE))),
            more(more(other, start(begun, country)), start(begun, "AA")),
        ),
        // An end before its start.
        _ => (one, more(other, Fact::End(at(begun - 1)))),
    }
}

fn sighting(number: i64, facts: Vec<Fact>) -> Sighting {
    let (user, session) = (format!("u{}", number % USERS), format!("s{number}"));
    let key = SessionKey {
        user: UserId::new(&user).unwrap(),
        session: SessionId::new(&session).unwrap(),
    };
    Sighting { key, facts }
}

/// Handles the micro-batches of one consumer, each at the instant at which the other begins its
/// own.
async fn consume(store: Store, batches: Vec<Vec<Sighting>>, together: &Barrier) {
    for sightings in batches {
        together.wait().await;
        let known = store.absorb(sightings.clone(), at(NOW)).await.unwrap();
        let effects = sightings.iter().zip(&known);
        let effects = effects
            .flat_map(|(seen, known)| decide(&seen.key, &known.facts, &seen.facts, Arrival::Any));
        store.apply(effects.collect::<Vec<_>>(), at(NOW)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_that_two_consumers_handle_at_the_same_instant_make_exactly_the_canonical_sessions()
{
    let nodes = Stack::shared_plain().cassandra_nodes().split(',').map(str::to_owned).collect();
    let keyspace = format!("race_{}", std::process::id());
    let options = CassandraOptions { nodes, keyspace, ..CassandraOptions::default() };
    setup(&options, &"1".parse().unwrap()).await.unwrap();

    let (mut ones, mut others) = (Vec::new(), Vec::new());
    let (mut completed, mut started) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..SESSIONS {
        let (one, other) = halves(number);
        let mut facts = shared::session::SessionFacts::default();
        one.iter().chain(&other).for_each(|fact| {
            facts.absorb(fact);
        });
        ones.push(sighting(number, one));
        others.push(sighting(number, other));
        let key = &ones.last().unwrap().key;
        completed.extend(facts.completed(key));
        started.extend(facts.start().map(|start| key.started(start)));
    }
    let batches = |sightings: Vec<Sighting>| sightings.chunks(STEP).map(<[_]>::to_vec).collect();
    let store =
        || async { Store::Cassandra(CassandraStore::open(options.clone()).await.unwrap().into()) };
    let together = Barrier::new(2);
    tokio::join!(
        consume(store().await, batches(ones), &together),
        consume(store().await, batches(others), &together)
    );

    let store = store().await;
    let mut sessions: Vec<CompletedSession> = Vec::new();
    for user in 0..USERS {
        let user = UserId::new(&format!("u{user}")).unwrap();
        sessions.extend(store.completed(&user, Timestamp::MIN, None, usize::MAX).await.unwrap());
    }
    let mut starts: Vec<SessionStart> = Vec::new();
    let mut by_country = BTreeMap::new();
    let window = Window { from: Timestamp::MIN, to: Timestamp::MAX };
    for (country, _) in store.countries(Timestamp::MIN, None, usize::MAX).await.unwrap() {
        let of_country = store.starts(&country, window, None, usize::MAX).await.unwrap();
        by_country.insert(country, of_country.len());
        starts.extend(of_country);
    }
    assert_eq!((sessions.len(), starts.len()), (completed.len(), started.len()), "{by_country:?}");
    assert_eq!(sessions.into_iter().collect::<BTreeSet<_>>(), completed);
    assert_eq!(starts.into_iter().collect::<BTreeSet<_>>(), started);
}
