//! What happened more than a year ago is not answered, is not written, and leaves.

use shared::{
    event::UserId,
    session::{Departed, MAX_FACTS, SessionKey, Status},
    store::{Effect, Sighting, Store},
    timestamp::Timestamp,
};

use crate::{
    Backend, HORIZON, NOW, absorb, at, completed, contract, country, end, ever, facts, horizon, key, now,
    scan, sessions_of, start, started, starts,
};

contract!(
    rows_that_began_before_the_year_are_not_written,
    a_session_is_listed_by_its_start_not_by_its_end,
    a_sweep_removes_what_is_a_year_old_and_nothing_else,
    a_sweep_removes_markers_too,
    a_sweep_removes_every_pair_of_a_session_with_many_facts,
    a_session_that_kept_an_end_remembers_that_its_start_has_left,
    a_session_that_kept_a_start_remembers_that_an_end_has_left,
    a_country_leaves_with_its_last_start_and_comes_back,
    a_sweep_goes_over_all_sessions_in_steps,
    what_was_swept_stays_away_after_a_restart,
    a_sweep_of_an_empty_store_ends,
);

/// Everything that there is to be written about a session.
async fn write(store: &Store, session: &str, from: i64, name: &str, to: i64) {
    absorb(store, "u", session, &[start(from, name), end(to)]).await;
    let effects = vec![
        Effect::RecordStart(started("u", session, from, name)),
        Effect::Complete(completed("u", session, from, name, to)),
    ];
    // As it was when it was young.
    store.apply(effects, at(from)).await.unwrap();
}

/// Sweeps to the end.
async fn sweep(store: &Store, horizon: Timestamp) -> usize {
    let (mut after, mut steps) = (None, 0);
    loop {
        after = store.sweep(horizon, after).await.unwrap();
        steps += 1;
        if after.is_none() {
            return steps;
        }
    }
}

async fn rows_that_began_before_the_year_are_not_written(backend: &impl Backend) {
    let store = backend.open().await;
    for (session, from) in [("old", HORIZON - 1), ("young", HORIZON)] {
        let (start, pair) = (started("u", session, from, "SK"), completed("u", session, from, "SK", NOW));
        store.apply(vec![Effect::RecordStart(start), Effect::Complete(pair)], now()).await.unwrap();
    }
    let old = started("u", "marker", HORIZON - 1, "AT");
    store.apply(vec![Effect::SupersedeStart(old)], now()).await.unwrap();
    assert_eq!(starts(&store, "SK", ever()).await, [started("u", "young", HORIZON, "SK")]);
    assert_eq!(sessions_of(&store, "u").await, [completed("u", "young", HORIZON, "SK", NOW)]);
    assert_eq!(store.countries(Timestamp::MIN).await.unwrap(), [country("SK")]);
}

async fn a_session_is_listed_by_its_start_not_by_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", NOW).await;
    write(&store, "young", HORIZON, "SK", HORIZON).await;
    let user = UserId::new("u").unwrap();
    let found = store.completed(&user, horizon(), None, 9).await.unwrap();
    assert_eq!(found, [completed("u", "young", HORIZON, "SK", HORIZON)]);
    // A page is filled past those that are left out.
    assert_eq!(store.completed(&user, horizon(), None, 1).await.unwrap(), found);
}

async fn a_sweep_removes_what_is_a_year_old_and_nothing_else(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 2, "SK", HORIZON - 1).await;
    write(&store, "young", HORIZON, "SK", HORIZON + 1).await;
    absorb(&store, "u", "orphan", &[end(HORIZON - 1)]).await;
    absorb(&store, "u", "young orphan", &[end(HORIZON)]).await;
    let kept = [facts(&store, "u", "young").await, facts(&store, "u", "young orphan").await];
    sweep(&store, horizon()).await;
    assert_eq!(starts(&store, "SK", ever()).await, [started("u", "young", HORIZON, "SK")]);
    assert_eq!(sessions_of(&store, "u").await, [completed("u", "young", HORIZON, "SK", HORIZON + 1)]);
    let [young, orphan] = kept;
    assert_eq!(scan(&store).await, [(key("u", "young"), young), (key("u", "young orphan"), orphan)]);
}

/// Were a marker left, nothing of its session would be, so a row beside it would stay hidden.
async fn a_sweep_removes_markers_too(backend: &impl Backend) {
    let store = backend.open().await;
    let (start, pair) = (started("u", "s", HORIZON - 1, "SK"), completed("u", "s", HORIZON - 1, "SK", NOW));
    absorb(&store, "u", "s", &[crate::start(HORIZON - 1, "SK"), end(NOW)]).await;
    let markers = vec![Effect::SupersedeStart(start.clone()), Effect::SupersedeCompleted(pair.clone())];
    store.apply(markers, at(HORIZON)).await.unwrap();
    sweep(&store, horizon()).await;
    let rows = vec![Effect::RecordStart(start.clone()), Effect::Complete(pair.clone())];
    store.apply(rows, at(HORIZON)).await.unwrap();
    assert_eq!(starts(&store, "SK", ever()).await, [start]);
    assert_eq!(sessions_of(&store, "u").await, [pair]);
}

async fn a_sweep_removes_every_pair_of_a_session_with_many_facts(backend: &impl Backend) {
    let store = backend.open().await;
    let half = i64::try_from(MAX_FACTS / 2).unwrap();
    let (from, to) = (HORIZON - 2 * half, HORIZON - half);
    let offered: Vec<_> = (0..half).flat_map(|n| [start(from + n, "SK"), end(to + n)]).collect();
    // As many as fill more than one write of the sweep.
    for session in 0..12 {
        let session = format!("s{session}");
        absorb(&store, "u", &session, &offered).await;
        let mut effects = Vec::new();
        for n in 0..half {
            effects.push(Effect::RecordStart(started("u", &session, from + n, "SK")));
            let pair = |m| Effect::Complete(completed("u", &session, from + n, "SK", to + m));
            effects.extend((0..half).map(pair));
        }
        store.apply(effects, at(HORIZON)).await.unwrap();
    }
    sweep(&store, horizon()).await;
    assert_eq!(starts(&store, "SK", ever()).await, []);
    assert_eq!(sessions_of(&store, "u").await, []);
    assert_eq!(scan(&store).await, []);
}

/// Without the memory its end would become an orphan.
async fn a_session_that_kept_an_end_remembers_that_its_start_has_left(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "s", HORIZON - 1, "SK", NOW).await;
    sweep(&store, horizon()).await;
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
    absorb(&store, "u", "s", &[end(HORIZON - 1), end(NOW)]).await;
    sweep(&store, horizon()).await;
    let left = facts(&store, "u", "s").await;
    assert_eq!(left.departed(), Departed { start: false, end: true });
    assert_eq!(left.status(horizon()), None);
    let later = absorb(&store, "u", "s", &[start(HORIZON, "SK")]).await.facts;
    assert_eq!(later.status(horizon()), Some(Status::Complete));
}

async fn a_country_leaves_with_its_last_start_and_comes_back(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", NOW).await;
    write(&store, "young", NOW, "AT", NOW).await;
    assert_eq!(store.countries(horizon()).await.unwrap(), [country("AT")]);
    assert_eq!(store.countries(at(HORIZON - 1)).await.unwrap(), [country("AT"), country("SK")]);
    sweep(&store, horizon()).await;
    assert_eq!(store.countries(Timestamp::MIN).await.unwrap(), [country("AT")]);
    write(&store, "again", NOW, "SK", NOW).await;
    assert_eq!(store.countries(horizon()).await.unwrap(), [country("AT"), country("SK")]);
}

async fn a_sweep_goes_over_all_sessions_in_steps(backend: &impl Backend) {
    let store = backend.open().await;
    let mut sightings = Vec::new();
    for n in 0..5_000 {
        let ms = if n % 2 == 0 { HORIZON - 1 } else { HORIZON };
        let key = key(&format!("user-{}", n % 70), &format!("s{n}"));
        sightings.push(Sighting { key, facts: vec![end(ms)] });
    }
    store.absorb(sightings).await.unwrap();
    assert!(sweep(&store, horizon()).await > 1, "a step is bounded");
    let left: Vec<SessionKey> =
        store.scan(None, 10_000).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(left.len(), 2_500);
    assert!(left.iter().all(|key| key.session.as_str()[1..].parse::<i32>().unwrap() % 2 == 1));
}

async fn what_was_swept_stays_away_after_a_restart(backend: &impl Backend) {
    let store = backend.open().await;
    write(&store, "old", HORIZON - 1, "SK", HORIZON - 1).await;
    store.persist().await.unwrap();
    sweep(&store, horizon()).await;
    store.persist().await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(scan(&store).await, []);
    assert_eq!(starts(&store, "SK", ever()).await, []);
    assert_eq!(sessions_of(&store, "u").await, []);
    assert_eq!(store.countries(Timestamp::MIN).await.unwrap(), []);
}

async fn a_sweep_of_an_empty_store_ends(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.sweep(horizon(), None).await.unwrap(), None);
}
