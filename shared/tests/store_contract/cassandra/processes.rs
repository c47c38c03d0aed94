//! Several processes on the same tables: no event is lost, and no reply depends on the layout of a
//! process. Processes are stores here.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    session::{Absorbed, SessionStart, Status},
    store::{
        CassandraStore, Effect, Sighting, StartPosition, Store,
        cassandra::{CassandraOptions, setup},
    },
    timestamp::{HOUR, SECOND},
};

use super::{Keyspace, layouts};
use crate::{
    Backend, NOW, absorb, completed, country, counts, end, ever, horizon, key, now,
    stack::{Node, Service, Stack},
    start, started, starts, starts_in_pieces,
};

/// Two processes add a start and an end concurrently: the one that reads last reads both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_halves_that_come_at_once_somebody_sees_both() {
    let keyspace = Keyspace::fresh().await;
    let (one, other) = (keyspace.open().await, keyspace.open().await);
    for n in 0..100 {
        let session = format!("s{n}");
        let (start, end) = ([start(NOW, "SK")], [end(NOW + 1)]);
        let (begun, ended) =
            tokio::join!(absorb(&one, "u", &session, &start), absorb(&other, "u", &session, &end));
        let complete = [begun, ended]
            .iter()
            .any(|known| known.facts.status(horizon()) == Some(Status::Complete));
        assert!(complete, "{session}");
    }
    keyspace.remove().await;
}

async fn pages(store: &Store, rows: usize) -> Vec<SessionStart> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.starts(&country("SK"), ever(), after, rows).await.unwrap();
        let Some(SessionStart { ts, session, user, .. }) = page.last().cloned() else { return all };
        after = Some(StartPosition { ts, session, user });
        all.extend(page);
    }
}

#[tokio::test]
async fn the_layout_of_a_day_shows_in_no_answer() {
    let keyspace = Keyspace::fresh().await;
    let options = CassandraOptions { starts_per_partition: 10, ..keyspace.options() };
    let crowded = Store::Cassandra(CassandraStore::open(options).await.unwrap().into());
    let roomy = keyspace.open().await;
    let row = |n: i64| {
        started(&format!("u{}", n % 3), &format!("s{}", n % 50), NOW + n / 4 * SECOND, "SK")
    };
    let rows: BTreeMap<i64, SessionStart> = (0..300).map(|n| (n, row(n))).collect();
    let record =
        |rows: Vec<SessionStart>| rows.into_iter().map(Effect::RecordStart).collect::<Vec<_>>();
    for some in rows.values().cloned().collect::<Vec<_>>().chunks(40) {
        crowded.apply(record(some.to_vec()), now()).await.unwrap();
    }
    // Another process repeats some rows and supersedes others, in its own layout.
    let again: Vec<_> = rows.values().step_by(7).cloned().collect();
    roomy.apply(record(again), now()).await.unwrap();
    let gone: BTreeSet<_> = rows.values().step_by(5).cloned().collect();
    let markers: Vec<_> = gone.iter().cloned().map(Effect::SupersedeStart).collect();
    roomy.apply(markers, now()).await.unwrap();

    let layouts = layouts(&keyspace.0).await;
    assert_eq!(layouts[&1], 1, "{layouts:?}");
    assert_eq!(layouts[&8], 8, "{layouts:?}");
    assert!(layouts[&64] > 8, "{layouts:?}");

    let mut expected: Vec<_> = rows.into_values().filter(|row| !gone.contains(row)).collect();
    expected
        .sort_by(|a, b| b.ts.cmp(&a.ts).then(a.session.cmp(&b.session)).then(a.user.cmp(&b.user)));
    for store in [&crowded, &roomy] {
        assert_eq!(starts(store, "SK", ever()).await, expected);
        assert_eq!(pages(store, 7).await, expected);
        assert_eq!(starts_in_pieces(store, "SK", 7).await, expected);
        let counted = counts(store, "SK", ever(), HOUR).await;
        assert_eq!(counted.values().sum::<u64>(), u64::try_from(expected.len()).unwrap());
    }
    keyspace.remove().await;
}

/// More days than are read ahead or listed on a page, with empty days between them.
#[tokio::test]
async fn a_listing_goes_over_many_days() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    let rows: Vec<_> =
        (0..200).map(|n| started("u", &format!("s{n}"), NOW - 37 * HOUR * n, "SK")).collect();
    store
        .apply(rows.iter().cloned().map(Effect::RecordStart).collect::<Vec<_>>(), now())
        .await
        .unwrap();
    assert_eq!(starts(&store, "SK", ever()).await, rows);
    assert_eq!(pages(&store, 30).await, rows);
    assert_eq!(starts_in_pieces(&store, "SK", 30).await, rows);
    assert_eq!(store.starts(&country("SK"), ever(), None, 1).await.unwrap(), rows[..1]);
    let narrow = crate::window(NOW - 100 * 37 * HOUR, NOW - 90 * 37 * HOUR);
    assert_eq!(starts(&store, "SK", narrow).await, rows[91..=100]);
    keyspace.remove().await;
}

/// Writes sessions of many users, which are spread over all nodes.
async fn write_sessions(store: &Store, prefix: &str) {
    let names: Vec<_> =
        (0..200).map(|n| (format!("{prefix}{}", n % 90), format!("s{n}"))).collect();
    let facts = || vec![start(NOW, "SK"), end(NOW + 1)];
    let sighting =
        |(user, session): &(String, String)| Sighting { key: key(user, session), facts: facts() };
    let known = store.absorb(names.iter().map(sighting).collect::<Vec<_>>(), now()).await.unwrap();
    assert!(known.iter().all(|known| known.absorbed == [Absorbed::New; 2]));
    let rows = names.iter().flat_map(|(user, session)| {
        let session = session.as_str();
        [
            Effect::RecordStart(started(user, session, NOW, "SK")),
            Effect::Complete(completed(user, session, NOW, "SK", NOW + 1)),
        ]
    });
    store.apply(rows.collect::<Vec<_>>(), now()).await.unwrap();
}

#[tokio::test]
async fn one_of_three_nodes_may_be_killed() {
    let stack = Stack::own_only(Service::Cassandra, 3, false);
    let options = CassandraOptions {
        nodes: stack.cassandra_nodes().split(',').map(str::to_owned).collect(),
        datacenter: Some("datacenter1".to_owned()),
        ..CassandraOptions::default()
    };
    // Three setups run concurrently on three nodes.
    let replication = "datacenter1:3".parse().unwrap();
    let run = || setup(&options, &replication);
    let (first, second, third) = tokio::join!(run(), run(), run());
    for done in [first, second, third] {
        done.unwrap();
    }
    let store = Store::Cassandra(CassandraStore::open(options).await.unwrap().into());
    write_sessions(&store, "before ").await;
    stack.kill(Node::Cassandra(2));
    write_sessions(&store, "after ").await;
    assert_eq!(starts(&store, "SK", ever()).await.len(), 400);
    let stored = store.scan(None, 1_000).await.unwrap();
    assert_eq!(stored.len(), 400);
    assert!(stored.iter().all(|(_, facts)| facts.status(horizon()) == Some(Status::Complete)));
}
