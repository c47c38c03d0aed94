//! Retention: events older than a year are not returned, not written, and removed.

use shared::{
    event::UserId,
    session::{Absorbed, Departed, MAX_FACTS, Status},
    store::{Effect, Store},
    timestamp::{DAY, HOUR, RETENTION, SECOND},
};

use crate::{
    Backend, HORIZON, NOW, absorb, absorb_at, at, before, completed, contract, countries, country,
    end, ever, facts, horizon, key, now, scan, sessions_of, start, started, starts,
};

contract!(
    rows_that_began_before_the_year_are_not_written,
    a_session_is_listed_by_its_start_not_by_its_end,
    what_is_a_year_old_leaves_and_nothing_else,
    only_countries_without_a_start_leave,
    markers_leave_too,
    every_pair_of_a_session_with_many_facts_leaves,
    a_session_that_kept_an_end_remembers_that_its_start_has_left,
    a_session_that_kept_a_start_remembers_that_an_end_has_left,
    a_session_of_starts_alone_leaves_with_the_smallest,
    an_end_that_comes_when_its_start_has_left_is_no_orphan,
    a_fact_that_comes_when_its_year_is_over_has_left,
    a_country_leaves_with_its_last_start_and_comes_back,
    what_has_left_stays_away_after_a_restart,
    nothing_leaves_an_empty_store,
);

/// An hour after the horizon.
const YOUNG: i64 = HORIZON + HOUR;

/// Writes all facts and rows of a session before it expires.
async fn write(store: &Store, session: &str, from: i64, name: &str, to: i64) {
    absorb_at(store, "u", session, &[start(from, name), end(to)], before()).await;
    let effects = vec![
        Effect::RecordStart(started("u", session, from, name)),
        Effect::Complete(completed("u", session, from, name, to)),
    ];
    store.apply(effects, before()).await.unwrap();
}

async fn rows_that_began_before_the_year_are_not_written(backend: &impl Backend) {
    let store = backend.open().await;
    for (session, from) in [("old", HORIZON - 1), ("young", HORIZON)] {
        let (start, pair) =
            (started("u", session, from, "SK"), completed("u", session, from, "SK", NOW));
        store.apply(vec![Effect::RecordStart(start), Effect::Complete(pair)], now()).await.unwrap();
    }
    let old = started("u", "marker", HORIZON - 1, "AT");
    store.apply(vec![Effect::SupersedeStart(old)], now()).await.unwrap();
    assert_eq!(starts(&store, "SK", ever()).await, [started("u", "young", HORIZON, "SK")]);
    assert_eq!(sessions_of(&store, "u").await, [completed("u", "young", HORIZON, "SK", NOW)]);
    assert_eq!(countries(&store, horizon()).await, [country("SK")]);
}

async fn a_session_is_listed_by_its_start_not_by_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", NOW).await;
    write(&store, "young", HORIZON, "SK", HORIZON).await;
    let user = UserId::new("u").unwrap();
    let found = store.completed(&user, horizon(), None, 9).await.unwrap();
    assert_eq!(found, [completed("u", "young", HORIZON, "SK", HORIZON)]);
    // Skipped sessions do not count towards the limit.
    assert_eq!(store.completed(&user, horizon(), None, 1).await.unwrap(), found);
}

async fn what_is_a_year_old_leaves_and_nothing_else(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", HORIZON - 1).await;
    write(&store, "young", YOUNG, "SK", YOUNG + 1).await;
    absorb_at(&store, "u", "orphan", &[end(HORIZON - 1)], before()).await;
    absorb_at(&store, "u", "young orphan", &[end(YOUNG)], before()).await;
    let kept = [facts(&store, "u", "young").await, facts(&store, "u", "young orphan").await];
    backend.leave(&store, horizon()).await;
    assert_eq!(starts(&store, "SK", ever()).await, [started("u", "young", YOUNG, "SK")]);
    assert_eq!(sessions_of(&store, "u").await, [completed("u", "young", YOUNG, "SK", YOUNG + 1)]);
    let [young, orphan] = kept;
    assert_eq!(
        scan(&store).await,
        [(key("u", "young"), young), (key("u", "young orphan"), orphan)]
    );
}

/// Some countries are left by all of their starts, next to others that keep one start.
async fn only_countries_without_a_start_leave(backend: &impl Backend) {
    let store = backend.open().await;
    for (country, ts) in [
        ("AT", HORIZON - 1),
        ("BE", HORIZON - 1),
        ("CZ", YOUNG),
        ("DE", HORIZON - 1),
        ("FR", YOUNG),
    ] {
        write(&store, country, ts, country, ts).await;
    }
    backend.leave(&store, horizon()).await;
    assert_eq!(countries(&store, horizon()).await, [country("CZ"), country("FR")]);
}

/// A remaining marker would hide a later row of the same session.
async fn markers_leave_too(backend: &impl Backend) {
    let store = backend.open().await;
    let (start, pair) =
        (started("u", "s", HORIZON - 1, "SK"), completed("u", "s", HORIZON - 1, "SK", NOW));
    absorb_at(&store, "u", "s", &[crate::start(HORIZON - 1, "SK"), end(NOW)], before()).await;
    let markers =
        vec![Effect::SupersedeStart(start.clone()), Effect::SupersedeCompleted(pair.clone())];
    store.apply(markers, before()).await.unwrap();
    backend.leave(&store, horizon()).await;
    let rows = vec![Effect::RecordStart(start.clone()), Effect::Complete(pair.clone())];
    store.apply(rows, at(HORIZON)).await.unwrap();
    assert_eq!(starts(&store, "SK", ever()).await, [start]);
    assert_eq!(sessions_of(&store, "u").await, [pair]);
}

async fn every_pair_of_a_session_with_many_facts_leaves(backend: &impl Backend) {
    let store = backend.open().await;
    let half = i64::try_from(MAX_FACTS / 2).unwrap();
    let (from, to) = (HORIZON - 2 * half, HORIZON - half);
    let offered: Vec<_> = (0..half).flat_map(|n| [start(from + n, "SK"), end(to + n)]).collect();
    let before = at(from + RETENTION);
    // More rows than one write of the sweep removes.
    for session in 0..12 {
        let session = format!("s{session}");
        absorb_at(&store, "u", &session, &offered, before).await;
        let mut effects = Vec::new();
        for n in 0..half {
            effects.push(Effect::RecordStart(started("u", &session, from + n, "SK")));
            let pair = |m| Effect::Complete(completed("u", &session, from + n, "SK", to + m));
            effects.extend((0..half).map(pair));
        }
        store.apply(effects, before).await.unwrap();
    }
    backend.leave(&store, horizon()).await;
    assert_eq!(starts(&store, "SK", ever()).await, []);
    assert_eq!(sessions_of(&store, "u").await, []);
    assert_eq!(scan(&store).await, []);
}

/// Otherwise its end would become an orphan.
async fn a_session_that_kept_an_end_remembers_that_its_start_has_left(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "s", HORIZON - 1, "SK", NOW).await;
    backend.leave(&store, horizon()).await;
    store.persist().await.unwrap();
    drop(store);
    let store = backend.open().await;
    let left = facts(&store, "u", "s").await;
    assert_eq!((left.starts().len(), left.ends()), (0, [at(NOW)].as_slice()));
    assert_eq!(left.departed(), Departed { start: true, end: false });
    assert_eq!(left.status(horizon()), None);
    let later = absorb(&store, "u", "s", &[end(NOW + 1)]).await.facts;
    assert_eq!(later.status(horizon()), None);
}

async fn a_session_that_kept_a_start_remembers_that_an_end_has_left(backend: &impl Backend) {
    let store = backend.open().await;
    absorb_at(&store, "u", "s", &[end(HORIZON - 1), end(NOW)], before()).await;
    backend.leave(&store, horizon()).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!(left.departed(), Departed { start: false, end: true });
    assert_eq!(left.status(horizon()), None);
    let later = absorb(&store, "u", "s", &[end(YOUNG)]).await.facts;
    assert_eq!(later.status(horizon()), None, "an earlier end has expired");
    let later = absorb(&store, "u", "s", &[start(HORIZON, "SK")]).await.facts;
    assert_eq!(later.status(horizon()), Some(Status::Complete));
}

async fn a_country_leaves_with_its_last_start_and_comes_back(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", NOW).await;
    write(&store, "young", NOW, "AT", NOW).await;
    assert_eq!(countries(&store, horizon()).await, [country("AT")]);
    assert_eq!(countries(&store, at(HORIZON - 1)).await, [country("AT"), country("SK")]);
    backend.leave(&store, horizon()).await;
    assert_eq!(countries(&store, horizon()).await, [country("AT")]);
    write(&store, "again", NOW, "SK", NOW).await;
    assert_eq!(countries(&store, horizon()).await, [country("AT"), country("SK")]);
}

async fn a_session_of_starts_alone_leaves_with_the_smallest(backend: &impl Backend) {
    let store = backend.open().await;
    let facts_of = async |offered: &[_], now| absorb_at(&store, "u", "s", offered, now).await.facts;
    facts_of(&[start(HORIZON - 1, "SK"), start(YOUNG, "AT")], before()).await;
    assert_eq!(facts(&store, "u", "s").await.departed(), Departed::default());
    backend.leave(&store, horizon()).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!((left.starts().len(), left.departed()), (1, Departed { start: true, end: false }));
    let later = facts_of(&[start(YOUNG + 1, "SK"), end(NOW)], now()).await;
    assert_eq!(later.status(horizon()), None);
    assert_eq!(facts(&store, "u", "s").await, later);
}

/// The end with a reference to the start expires before the later end.
async fn an_end_that_comes_when_its_start_has_left_is_no_orphan(backend: &impl Backend) {
    let store = backend.open().await;
    let first_end = HORIZON + 8 * SECOND;
    write(&store, "s", HORIZON - 1, "SK", first_end).await;
    backend.leave(&store, horizon()).await;
    absorb(&store, "u", "s", &[end(NOW)]).await;
    assert_eq!(facts(&store, "u", "s").await.ends(), [at(first_end), at(NOW)]);
    backend.leave(&store, at(first_end + 1)).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!((left.ends(), left.departed().start), ([at(NOW)].as_slice(), true));
    assert_eq!(left.status(horizon()), None);
}

/// A store may add such a fact and remove it later, or never add it.
async fn a_fact_that_comes_when_its_year_is_over_has_left(backend: &impl Backend) {
    let store = backend.open().await;
    absorb(&store, "u", "s", &[end(NOW)]).await;
    let known = absorb(&store, "u", "s", &[start(HORIZON - 30 * DAY, "SK")]).await;
    assert_eq!(known.absorbed, [Absorbed::New]);
    assert_eq!(known.facts.status(horizon()), None);
    backend.leave(&store, horizon()).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!((left.starts().len(), left.ends().len(), left.departed().start), (0, 1, true));
    assert_eq!(absorb(&store, "u", "s", &[end(NOW + 1)]).await.facts.status(horizon()), None);
}

async fn what_has_left_stays_away_after_a_restart(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", HORIZON - 1).await;
    store.persist().await.unwrap();
    backend.leave(&store, horizon()).await;
    store.persist().await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(scan(&store).await, []);
    assert_eq!(starts(&store, "SK", ever()).await, []);
    assert_eq!(sessions_of(&store, "u").await, []);
    assert_eq!(countries(&store, horizon()).await, []);
}

async fn nothing_leaves_an_empty_store(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.sweep(horizon(), None).await.unwrap(), None);
}
