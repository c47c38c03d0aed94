//! The tables as an operator sees them: rows, times to live, and the size of requests.

use shared::{
    session::{Absorbed, MAX_FACTS, Start},
    store::{Effect, Sighting, cassandra::CassandraOptions},
    timestamp::DAY,
};

use super::{Keyspace, MARGIN, connect};
use crate::{
    Backend, HORIZON, NOW, absorb, absorb_at, at, before, completed, end, facts, horizon, key, now,
    scan, sessions_of, stack::Stack, start,
};

async fn numbers(options: &CassandraOptions, select: &str) -> Vec<i64> {
    let select = select.replace("FROM ", &format!("FROM {}.", options.keyspace));
    let result =
        connect(options).await.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
    result.rows::<(i64,)>().unwrap().map(|row| row.unwrap().0).collect()
}

#[tokio::test]
async fn a_repetition_renews_nothing() {
    let keyspace = Keyspace::fresh().await;
    let (first, second) = (keyspace.open().await, keyspace.open().await);
    let select = "SELECT cast(ttl(seen) as bigint) FROM facts";
    absorb(&first, "u", "s", &[end(NOW)]).await;
    let lives = numbers(&keyspace.0, select).await;
    // The time to live would be longer if the repetition were written.
    let again = absorb_at(&second, "u", "s", &[end(NOW)], at(NOW - 100 * DAY)).await;
    assert_eq!(again.absorbed, [Absorbed::Known]);
    assert!(numbers(&keyspace.0, select).await[0] <= lives[0]);
    keyspace.remove().await;
}

#[tokio::test]
async fn an_ordinary_delete_removes_what_was_and_lets_in_what_comes() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    let now = shared::clock::Clock::machine().now();
    let (old, new) = (end(now.millis() - 1_000), end(now.millis() + DAY));
    absorb_at(&store, "u", "s", std::slice::from_ref(&old), now).await;
    let delete = format!("DELETE FROM {}.facts WHERE user_id = 'u'", keyspace.0.keyspace);
    connect(&keyspace.0).await.query_unpaged(delete, ()).await.unwrap();
    assert!(facts(&store, "u", "s").await.is_empty());
    let repeated = absorb_at(&store, "u", "s", &[old], now).await;
    assert!(repeated.facts.is_empty(), "an event before the DELETE stays removed");
    assert_eq!(absorb_at(&store, "u", "s", &[new], now).await.facts.ends().len(), 1);
    keyspace.remove().await;
}

#[tokio::test]
async fn nobody_makes_a_session_grow_for_ever() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    for n in 0..5 {
        let offered: Vec<_> = (0..100).map(|m| end(NOW + 100 * n + m)).collect();
        absorb(&store, "u", "s", &offered).await;
    }
    let rows = numbers(
        &keyspace.0,
        "SELECT count(*) FROM facts WHERE user_id = 'u' AND session_id = 's' AND kind = 1 ALLOW FILTERING",
    )
    .await;
    let memories = i64::try_from(MAX_FACTS).unwrap() - 1;
    assert_eq!(rows, [i64::try_from(MAX_FACTS).unwrap() + memories]);
    keyspace.remove().await;
}

#[tokio::test]
async fn a_full_session_takes_more_once_facts_have_left() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    let mut offered: Vec<_> = (1..64).map(|n| end(NOW + n)).collect();
    offered.push(start(HORIZON - 1, "SK"));
    absorb_at(&store, "u", "s", &offered, before()).await;
    assert_eq!(absorb(&store, "u", "s", &[end(NOW)]).await.absorbed, [Absorbed::Contested]);
    keyspace.leave(&store, horizon()).await;
    assert_eq!(absorb(&store, "u", "s", &[end(NOW)]).await.absorbed, [Absorbed::New]);
    assert_eq!(facts(&store, "u", "s").await.ends().len(), 64);
    keyspace.remove().await;
}

/// References can briefly exist without their fact, when it was deleted or has just expired.
#[tokio::test]
async fn what_is_left_without_facts_takes_no_place_among_sessions() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    let connection = connect(&keyspace.0).await;
    let insert = format!(
        "INSERT INTO {}.facts (user_id, session_id, kind, ts, country, marker, earlier, seen) \
         VALUES ('u', ?, 1, 1, '', 2, 0, 0)",
        keyspace.0.keyspace
    );
    // Two and a half pages of the minimum size.
    for n in 0..80 {
        connection.query_unpaged(insert.as_str(), (format!("a{n}"),)).await.unwrap();
    }
    // More rows than on a page.
    let ends: Vec<_> = (0..40).map(|n| end(NOW + n)).collect();
    for session in ["b", "c"] {
        absorb(&store, "u", session, &ends).await;
    }
    let found = store.sessions(&key("u", "b").user, None, 1).await.unwrap();
    let [(first, facts)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first, facts.ends().len()), (&key("u", "b"), 40));
    let sizes: Vec<_> = scan(&store).await.iter().map(|(_, facts)| facts.ends().len()).collect();
    assert_eq!(sizes, [40, 40]);
    keyspace.remove().await;
}

/// A lagging consumer can process a start that is older than the retention, within the margin.
#[tokio::test]
async fn an_end_remembers_a_start_whose_session_is_not_listed_any_more() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    absorb(&store, "u", "s", &[start(HORIZON - 1, "SK"), end(NOW)]).await;
    let session = completed("u", "s", HORIZON - 1, "SK", NOW);
    store.apply(vec![Effect::Complete(session)], now()).await.unwrap();
    assert!(sessions_of(&store, "u").await.is_empty());
    keyspace.leave(&store, horizon()).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!((left.ends(), left.departed().start), ([at(NOW)].as_slice(), true));
    keyspace.remove().await;
}

/// The start of a short session does not expire while its end is returned.
#[tokio::test]
async fn the_end_of_a_short_session_remembers_nothing_and_is_no_orphan() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    let (short, long) = (MARGIN / 2 - 1, MARGIN / 2);
    for (session, length) in [("short", short), ("long", long)] {
        absorb(&store, "u", session, &[start(NOW, "SK"), end(NOW + length)]).await;
        let completed = completed("u", session, NOW, "SK", NOW + length);
        store.apply(vec![Effect::Complete(completed)], now()).await.unwrap();
    }
    let connection = connect(&keyspace.0).await;
    let select = format!(
        "SELECT session_id FROM {}.facts WHERE marker = 1 ALLOW FILTERING",
        keyspace.0.keyspace
    );
    let remembering =
        connection.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
    let remembering: Vec<_> =
        remembering.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(remembering, ["long"]);
    // The end of the short session alone, at the earliest instant at which its start can expire.
    absorb(&store, "u", "left", &[end(HORIZON + short)]).await;
    assert_eq!(facts(&store, "u", "left").await.status(at(HORIZON + MARGIN)), None);
    keyspace.remove().await;
}

/// A warning for each request would hide all others, and some servers refuse larger batches.
#[tokio::test]
async fn no_request_is_so_large_that_the_server_warns_of_it() {
    let keyspace = Keyspace::fresh().await;
    let store = keyspace.open().await;
    // Ten users, or ten days, with six rows each are too large for one request.
    let name =
        |n: usize| (format!("{:033x}", n / 6 + 1), format!("b0f5a9b1-7f0e-4a3c-8e71-{n:012}"));
    let keys: Vec<_> = (0..600).map(name).map(|(user, session)| key(&user, &session)).collect();
    let facts = vec![start(NOW, "SK"), end(NOW + 1)];
    let sightings: Vec<_> =
        keys.iter().map(|key| Sighting { key: key.clone(), facts: facts.clone() }).collect();
    let known = store.absorb(sightings, now()).await.unwrap();
    let effects = keys.iter().zip(&known).enumerate().flat_map(|(n, (key, known))| {
        let start = known.facts.start().unwrap();
        let begun = Start {
            ts: start.ts - i64::try_from(n / 6).unwrap() * DAY,
            country: start.country.clone(),
        };
        [
            Effect::RecordStart(key.started(&begun)),
            Effect::Complete(key.completed(start, at(NOW + 1))),
        ]
    });
    store.apply(effects.collect::<Vec<_>>(), now()).await.unwrap();
    let log = std::fs::read_to_string(Stack::shared_plain().dir().join("cassandra-1.log")).unwrap();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains(&keyspace.0.keyspace) && line.contains("exceeding"))
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
    keyspace.remove().await;
}
