//! Facts: adding them, reading them back, and listing sessions.

use shared::{
    event::{SessionId, UserId},
    session::{Absorbed, MAX_FACTS, SessionFacts},
    store::Sighting,
};

use crate::{Backend, NOW, absorb, absorb_at, at, contract, end, facts, key, now, scan, start};

contract!(
    absorbing_gives_back_all_facts_those_just_added_included,
    a_repeated_fact_is_known,
    a_fact_too_many_is_contested_and_not_stored,
    a_fact_that_is_known_is_never_contested,
    of_a_full_session_the_others_of_a_batch_are_stored,
    what_becomes_of_each_fact_is_told_in_their_order,
    sessions_are_answered_in_the_order_asked,
    absorbing_nothing_answers_nothing,
    an_unknown_session_has_no_facts,
    facts_survive_persisting_and_reopening,
    odd_names_are_kept_apart,
    times_before_1970_and_at_the_ends_of_the_calendar_are_kept,
    countries_of_any_letters_are_kept,
    the_sessions_of_a_user_come_in_order_and_in_pages,
    a_scan_gives_every_session_once,
    concurrent_facts_of_one_session_are_all_kept,
);

async fn absorbing_gives_back_all_facts_those_just_added_included(backend: &impl Backend) {
    let store = backend.open().await;
    absorb(&store, "u", "s", &[start(NOW, "SK")]).await;
    let known =
        absorb(&store, "u", "s", &[end(NOW + 5), end(NOW + 2), start(NOW, "AT")]).await.facts;
    assert_eq!(
        known.starts().iter().map(|start| start.country.as_str()).collect::<Vec<_>>(),
        ["AT", "SK"]
    );
    assert_eq!(known.ends(), [at(NOW + 2), at(NOW + 5)]);
    assert_eq!(facts(&store, "u", "s").await, known);
}

async fn a_repeated_fact_is_known(backend: &impl Backend) {
    let store = backend.open().await;
    let first = absorb(&store, "u", "s", &[start(NOW, "SK")]).await;
    assert_eq!(first.absorbed, [Absorbed::New]);
    let again = absorb(&store, "u", "s", &[start(NOW, "SK")]).await;
    assert_eq!((again.absorbed, again.facts), (vec![Absorbed::Known], first.facts));
}

fn many(count: usize) -> Vec<shared::session::Fact> {
    (0..)
        .take(count)
        .map(|n| if n % 2 == 0 { start(NOW + n, "SK") } else { end(NOW + n) })
        .collect()
}

async fn a_fact_too_many_is_contested_and_not_stored(backend: &impl Backend) {
    let store = backend.open().await;
    let known = absorb(&store, "u", "s", &many(MAX_FACTS)).await;
    assert_eq!(known.absorbed, vec![Absorbed::New; MAX_FACTS]);
    let more = absorb(&store, "u", "s", &[end(NOW - 1), start(NOW - 2, "AT")]).await;
    assert_eq!(more.absorbed, [Absorbed::Contested; 2]);
    assert_eq!(more.facts, known.facts);
    assert_eq!(facts(&store, "u", "s").await, known.facts);
}

async fn a_fact_that_is_known_is_never_contested(backend: &impl Backend) {
    let store = backend.open().await;
    absorb(&store, "u", "s", &many(MAX_FACTS)).await;
    assert_eq!(
        absorb(&store, "u", "s", &many(MAX_FACTS)).await.absorbed,
        vec![Absorbed::Known; MAX_FACTS]
    );
}

async fn of_a_full_session_the_others_of_a_batch_are_stored(backend: &impl Backend) {
    let store = backend.open().await;
    let mut offered = many(MAX_FACTS + 1);
    offered.extend([start(NOW, "SK"), offered[MAX_FACTS].clone()]);
    let absorbed = absorb(&store, "u", "s", &offered).await.absorbed;
    assert_eq!(absorbed[..MAX_FACTS], [Absorbed::New; MAX_FACTS]);
    assert_eq!(absorbed[MAX_FACTS..], [Absorbed::Contested, Absorbed::Known, Absorbed::Contested]);
    let stored = facts(&store, "u", "s").await;
    assert_eq!(stored.starts().len() + stored.ends().len(), MAX_FACTS);
}

async fn what_becomes_of_each_fact_is_told_in_their_order(backend: &impl Backend) {
    let store = backend.open().await;
    absorb(&store, "u", "s", &[end(NOW)]).await;
    let known = absorb(&store, "u", "s", &[start(NOW, "SK"), end(NOW), end(NOW + 1)]).await;
    assert_eq!(known.absorbed, [Absorbed::New, Absorbed::Known, Absorbed::New]);
}

async fn sessions_are_answered_in_the_order_asked(backend: &impl Backend) {
    let store = backend.open().await;
    let names = ["z", "a", "m"];
    let sighting =
        |(n, name): (i64, &str)| Sighting { key: key("u", name), facts: vec![end(NOW + n)] };
    let known =
        store.absorb((0..).zip(names).map(sighting).collect::<Vec<_>>(), now()).await.unwrap();
    let ends: Vec<_> = known.iter().map(|known| known.facts.ends()[0]).collect();
    assert_eq!(ends, [at(NOW), at(NOW + 1), at(NOW + 2)]);
}

async fn absorbing_nothing_answers_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.absorb(Vec::new(), now()).await.unwrap(), []);
    assert_eq!(scan(&store).await, []);
}

async fn an_unknown_session_has_no_facts(backend: &impl Backend) {
    let store = backend.open().await;
    absorb(&store, "u", "s", &[end(NOW)]).await;
    assert_eq!(facts(&store, "u", "other").await, SessionFacts::default());
    assert_eq!(facts(&store, "other", "s").await, SessionFacts::default());
}

async fn facts_survive_persisting_and_reopening(backend: &impl Backend) {
    let store = backend.open().await;
    let known = absorb(&store, "u", "s", &many(MAX_FACTS)).await.facts;
    store.persist().await.unwrap();
    drop(store);
    assert_eq!(facts(&backend.open().await, "u", "s").await, known);
}

/// Ids that are prefixes of others, not ASCII, or contain separators of other formats.
const ODD: [&str; 11] =
    ["a", "aa", "ab", "a b", " ", "é", "\u{10FFFF}", "😀", "a/b", "a\"\\", "%00"];

async fn odd_names_are_kept_apart(backend: &impl Backend) {
    let store = backend.open().await;
    let (longest, wide) = ("x".repeat(128), "é".repeat(64));
    let names: Vec<&str> =
        ODD.into_iter().chain([longest.as_str(), &longest[1..], wide.as_str()]).collect();
    let mut ms = NOW;
    for user in &names {
        for session in &names {
            absorb(&store, user, session, &[end(ms)]).await;
            ms += 1;
        }
    }
    ms = NOW;
    for user in &names {
        for session in &names {
            assert_eq!(facts(&store, user, session).await.ends(), [at(ms)], "{user:?} {session:?}");
            ms += 1;
        }
        let sessions = store.sessions(&UserId::stored(user).unwrap(), None, 1_000).await.unwrap();
        assert_eq!(sessions.len(), names.len(), "{user:?}");
        assert!(sessions.iter().all(|(key, _)| key.user.as_str() == *user), "{user:?}");
    }
    assert_eq!(scan(&store).await.len(), names.len() * names.len());
}

async fn times_before_1970_and_at_the_ends_of_the_calendar_are_kept(backend: &impl Backend) {
    use shared::timestamp::Timestamp;
    let store = backend.open().await;
    let times = [Timestamp::MIN, at(-1), at(0), at(1), Timestamp::MAX];
    let mut offered: Vec<_> = times.iter().copied().map(shared::session::Fact::End).collect();
    offered.extend(times.iter().map(|ts| start(ts.millis(), "SK")));
    // Written long ago, because at a later time some of these facts have expired.
    let known = absorb_at(&store, "u", "s", &offered, Timestamp::MIN).await.facts;
    assert_eq!(facts(&store, "u", "s").await, known);
    assert_eq!(known.ends(), times);
}

async fn countries_of_any_letters_are_kept(backend: &impl Backend) {
    let store = backend.open().await;
    for (n, name) in
        (0..).zip(["ß", "ŉ", "ǰ", "ΐ", "ﬃ", "İ", "ı", "日本", "٣", "ǆ", "ᾳ", "ﬀﬀﬀﬀﬀﬀﬀﬀﬀ"])
    {
        let known = absorb(&store, "u", &format!("s{n}"), &[start(NOW, name)]).await.facts;
        assert_eq!(facts(&store, "u", &format!("s{n}")).await, known, "{name}");
    }
}

async fn the_sessions_of_a_user_come_in_order_and_in_pages(backend: &impl Backend) {
    let store = backend.open().await;
    let names = ["a", "aa", "ab", "b", "é"];
    for name in names.iter().rev() {
        absorb(&store, "user", name, &[end(NOW)]).await;
    }
    for other in ["use", "user ", "user1", "uses"] {
        absorb(&store, other, "a", &[end(NOW)]).await;
    }
    let user = UserId::new("user").unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.sessions(&user, after, 2).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.session.clone());
        found.extend(page.into_iter().map(|(key, _)| key.session));
    }
    assert_eq!(found, names.map(|name| SessionId::new(name).unwrap()));
    assert_eq!(store.sessions(&user, None, 0).await.unwrap(), []);
}

async fn a_scan_gives_every_session_once(backend: &impl Backend) {
    let store = backend.open().await;
    let mut expected = Vec::new();
    for n in 0..7 {
        absorb(&store, &format!("u{}", n % 3), &format!("s{n}"), &[end(NOW)]).await;
        expected.push(key(&format!("u{}", n % 3), &format!("s{n}")));
    }
    let mut found: Vec<_> = scan(&store).await.into_iter().map(|(key, _)| key).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

async fn concurrent_facts_of_one_session_are_all_kept(backend: &impl Backend) {
    let store = backend.open().await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { absorb(&store, "u", "s", &[end(NOW + n)]).await.facts })
        })
        .collect();
    for (n, task) in (0..).zip(tasks) {
        assert!(task.await.unwrap().ends().contains(&at(NOW + n)));
    }
    assert_eq!(facts(&store, "u", "s").await.ends().len(), 40);
}
