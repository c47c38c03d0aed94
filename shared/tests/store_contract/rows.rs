//! Rows: their order, markers and pages.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use shared::{
    event::UserId,
    session::{CompletedSession, SessionStart},
    store::{Effect, SessionPosition, StartPosition, Store, Window},
    timestamp::{DAY, HOUR, Timestamp},
};

use crate::{
    Backend, NOW, at, completed, contract, countries, country, counts, ever, now, sessions_of,
    started, starts, starts_in_pieces, window,
};

contract!(
    applying_twice_changes_nothing,
    a_marker_hides_its_start_whichever_comes_first,
    a_marker_hides_its_session_whichever_comes_first,
    a_marker_hides_nothing_but_its_own_row,
    starts_are_newest_first_then_by_session_and_user,
    completed_sessions_are_newest_end_first_then_by_session,
    a_window_holds_its_beginning_and_not_its_end,
    an_empty_or_inverted_window_holds_nothing,
    counting_agrees_with_listing,
    many_countries_are_counted_at_once,
    pieces_hold_what_pages_hold,
    slots_begin_at_whole_steps_before_1970_too,
    a_limit_of_nothing_gives_nothing,
    a_position_outside_the_window_does_not_widen_it,
    pages_of_starts_neither_skip_nor_repeat_while_rows_are_added,
    pages_of_sessions_neither_skip_nor_repeat_while_rows_are_added,
    pages_go_on_behind_a_row_that_was_superseded_meanwhile,
    users_whose_names_begin_alike_do_not_see_each_other,
    countries_whose_names_begin_alike_do_not_see_each_other,
    a_country_is_known_by_its_superseded_starts_too,
    a_country_has_no_start_behind_its_instant,
    countries_are_in_the_order_of_their_names,
    rows_and_markers_survive_persisting_and_reopening,
    applying_nothing_changes_nothing,
    the_users_of_completed_sessions_are_listed_once_each_in_pages,
);

async fn apply(store: &Store, effects: impl IntoIterator<Item = Effect>) {
    store.apply(effects.into_iter().collect::<Vec<_>>(), now()).await.unwrap();
}

async fn record(store: &Store, rows: &[SessionStart]) {
    apply(store, rows.iter().cloned().map(Effect::RecordStart)).await;
}

async fn complete(store: &Store, rows: &[CompletedSession]) {
    apply(store, rows.iter().cloned().map(Effect::Complete)).await;
}

async fn applying_twice_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let (row, session) = (started("u", "s", NOW, "SK"), completed("u", "s", NOW, "SK", NOW + 1));
    for _ in 0..2 {
        record(&store, std::slice::from_ref(&row)).await;
        complete(&store, std::slice::from_ref(&session)).await;
        assert_eq!(starts(&store, "SK", ever()).await, std::slice::from_ref(&row));
        assert_eq!(sessions_of(&store, "u").await, std::slice::from_ref(&session));
    }
}

async fn a_marker_hides_its_start_whichever_comes_first(backend: &impl Backend) {
    let store = backend.open().await;
    for (session, marker_first) in [("a", true), ("b", false)] {
        let row = started("u", session, NOW, "SK");
        let mut effects = [Effect::RecordStart(row.clone()), Effect::SupersedeStart(row)];
        if marker_first {
            effects.reverse();
        }
        for effect in effects {
            apply(&store, [effect]).await;
        }
        assert_eq!(starts(&store, "SK", ever()).await, [], "{session}");
    }
    assert_eq!(counts(&store, "SK", ever(), HOUR).await, BTreeMap::new());
}

async fn a_marker_hides_its_session_whichever_comes_first(backend: &impl Backend) {
    let store = backend.open().await;
    for (session, marker_first) in [("a", true), ("b", false)] {
        let row = completed("u", session, NOW, "SK", NOW);
        let mut effects = [Effect::Complete(row.clone()), Effect::SupersedeCompleted(row)];
        if marker_first {
            effects.reverse();
        }
        for effect in effects {
            apply(&store, [effect]).await;
        }
        assert_eq!(sessions_of(&store, "u").await, [], "{session}");
    }
}

async fn a_marker_hides_nothing_but_its_own_row(backend: &impl Backend) {
    let store = backend.open().await;
    let kept = [
        started("u", "s", NOW, "SK"),
        started("u", "s1", NOW, "SK"),
        started("u1", "s", NOW, "SK"),
        started("u", "s", NOW - 1, "SK"),
    ];
    record(&store, &kept).await;
    apply(&store, [Effect::SupersedeStart(started("u", "s", NOW, "AT"))]).await;
    apply(&store, [Effect::SupersedeStart(started("u", "s0", NOW, "SK"))]).await;
    assert_eq!(starts(&store, "SK", ever()).await.len(), kept.len());

    let kept = [
        completed("u", "s", NOW, "SK", NOW + 5),
        completed("u", "s1", NOW, "SK", NOW + 5),
        completed("u", "s0", NOW, "SK", NOW + 6),
    ];
    complete(&store, &kept).await;
    for other in [
        completed("u", "s", NOW, "AT", NOW + 5),
        completed("u", "s", NOW + 1, "SK", NOW + 5),
        completed("u", "s", NOW, "SK", NOW + 6),
        completed("u1", "s", NOW, "SK", NOW + 5),
    ] {
        apply(&store, [Effect::SupersedeCompleted(other)]).await;
    }
    assert_eq!(sessions_of(&store, "u").await.len(), kept.len());
}

async fn starts_are_newest_first_then_by_session_and_user(backend: &impl Backend) {
    let store = backend.open().await;
    let expected = [
        started("u", "s", NOW + 1, "SK"),
        started("u", "a", NOW, "SK"),
        started("u", "aa", NOW, "SK"),
        started("u1", "aa", NOW, "SK"),
        started("a", "b", NOW, "SK"),
        started("u", "é", NOW, "SK"),
        started("u", "a", NOW - 1, "SK"),
    ];
    let mut shuffled = expected.to_vec();
    shuffled.reverse();
    shuffled.swap(1, 4);
    record(&store, &shuffled).await;
    assert_eq!(starts(&store, "SK", ever()).await, expected);
}

async fn completed_sessions_are_newest_end_first_then_by_session(backend: &impl Backend) {
    let store = backend.open().await;
    let expected = [
        completed("u", "z", NOW - 9, "SK", NOW + 1),
        completed("u", "a", NOW - 9, "SK", NOW),
        completed("u", "aa", NOW, "AT", NOW),
        completed("u", "b", NOW - 10, "SK", NOW),
        completed("u", "a0", NOW - 9, "SK", NOW - 1),
    ];
    let mut shuffled = expected.to_vec();
    shuffled.reverse();
    shuffled.swap(0, 2);
    complete(&store, &shuffled).await;
    assert_eq!(sessions_of(&store, "u").await, expected);
}

async fn a_window_holds_its_beginning_and_not_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    let rows: Vec<_> = (0..4).map(|n| started("u", &format!("s{n}"), NOW + n, "SK")).collect();
    record(&store, &rows).await;
    let found = starts(&store, "SK", window(NOW + 1, NOW + 3)).await;
    assert_eq!(found, [rows[2].clone(), rows[1].clone()]);
    let slots = counts(&store, "SK", window(NOW + 1, NOW + 3), 1).await;
    assert_eq!(slots, [(at(NOW + 1), 1), (at(NOW + 2), 1)].into());
}

async fn an_empty_or_inverted_window_holds_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    record(&store, &[started("u", "s", NOW, "SK")]).await;
    for (from, to) in [(NOW, NOW), (NOW + 1, NOW), (NOW + 9, NOW - 9)] {
        assert_eq!(starts(&store, "SK", window(from, to)).await, []);
        assert!(counts(&store, "SK", window(from, to), HOUR).await.is_empty());
    }
}

async fn counting_agrees_with_listing(backend: &impl Backend) {
    let store = backend.open().await;
    for n in 0..100 {
        let row = started("u", &format!("s{n}"), NOW + n * 37 * HOUR / 10, "SK");
        record(&store, std::slice::from_ref(&row)).await;
        if n % 3 == 0 {
            apply(&store, [Effect::SupersedeStart(row)]).await;
        }
    }
    for step in [1, HOUR, DAY] {
        let window = window(NOW + HOUR, NOW + 200 * HOUR);
        let mut slots = BTreeMap::new();
        for start in starts(&store, "SK", window).await {
            *slots.entry(at(start.ts.millis() / step * step)).or_insert(0) += 1;
        }
        assert!(slots.len() > 5);
        assert_eq!(counts(&store, "SK", window, step).await, slots);
    }
}

/// Countries with no, one and many starts, next to each other and far apart, older and newer than
/// the window.
async fn many_countries_are_counted_at_once(backend: &impl Backend) {
    let store = backend.open().await;
    let starts_of = |n: i64| match n % 10 {
        0 => 0,
        9 => 40,
        n => n,
    };
    let name = |n: i64| format!("C{n:03}");
    let rows = (0..100).flat_map(|n| {
        let ts = move |row: i64| NOW + (row % 7 - 3) * HOUR + row;
        (0..starts_of(n)).map(move |row| started("u", &format!("s{row}"), ts(row), &name(n)))
    });
    let rows: Vec<_> = rows.collect();
    record(&store, &rows).await;
    let gone = |row: &SessionStart| row.ts.millis() % 5 == 0;
    apply(&store, rows.iter().filter(|row| gone(row)).cloned().map(Effect::SupersedeStart)).await;
    let window = window(NOW - HOUR, NOW + 2 * HOUR);
    for every in [1, 2, 7, 60] {
        let some: Vec<_> = (0..100).step_by(every).map(|n| country(&name(n))).collect();
        let counted = store.count_starts(some.clone(), window, HOUR).await.unwrap();
        let expected = some.iter().map(|country| {
            let mut slots = BTreeMap::new();
            for row in rows.iter().filter(|row| row.country == *country && !gone(row)) {
                if window.from <= row.ts && row.ts < window.to {
                    *slots.entry(at(row.ts.millis() / HOUR * HOUR)).or_insert(0) += 1;
                }
            }
            slots
        });
        assert_eq!(counted, expected.collect::<Vec<BTreeMap<_, u64>>>());
    }
    assert_eq!(store.count_starts(Vec::new(), window, HOUR).await.unwrap(), []);
}

async fn pieces_hold_what_pages_hold(backend: &impl Backend) {
    let store = backend.open().await;
    let row = |n: i64| started(&format!("u{}", n % 2), &format!("s{n}"), NOW - n * HOUR / 9, "SK");
    let rows: Vec<_> = (0..400).map(row).collect();
    record(&store, &rows).await;
    let gone = rows.iter().step_by(3).cloned().map(Effect::SupersedeStart);
    apply(&store, gone).await;
    let left: Vec<_> = (0..400).filter(|n| n % 3 != 0).map(row).collect();
    assert_eq!(starts(&store, "SK", ever()).await, left);
    for size in [1, 7, 266, 1_000] {
        assert_eq!(starts_in_pieces(&store, "SK", size).await, left);
    }
    let after = Some(position(&left[100]));
    let window = window(NOW - 30 * HOUR, NOW);
    let rest = store.all_starts(country("SK"), window, after, 1_000, 5);
    let rest = rest.try_concat().await.unwrap();
    assert_eq!(rest, left[101..180]);
}

async fn slots_begin_at_whole_steps_before_1970_too(backend: &impl Backend) {
    let store = backend.open().await;
    let rows = [started("u", "a", -1, "SK"), started("u", "b", 0, "SK")].map(Effect::RecordStart);
    store.apply(rows.to_vec(), at(0)).await.unwrap();
    let slots = counts(&store, "SK", ever(), HOUR).await;
    assert_eq!(slots, [(at(-HOUR), 1), (at(0), 1)].into());
}

async fn a_limit_of_nothing_gives_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    record(&store, &[started("u", "s", NOW, "SK")]).await;
    complete(&store, &[completed("u", "s", NOW, "SK", NOW)]).await;
    assert_eq!(store.starts(&country("SK"), ever(), None, 0).await.unwrap(), []);
    assert_eq!(
        store.completed(&UserId::new("u").unwrap(), Timestamp::MIN, None, 0).await.unwrap(),
        []
    );
}

async fn a_position_outside_the_window_does_not_widen_it(backend: &impl Backend) {
    let store = backend.open().await;
    let rows: Vec<_> = (0..5).map(|n| started("u", &format!("s{n}"), NOW + n, "SK")).collect();
    record(&store, &rows).await;
    let after = Some(position(&started("u", "s", NOW + 9, "SK")));
    let found = store.starts(&country("SK"), window(NOW, NOW + 2), after, 9).await.unwrap();
    assert_eq!(found, [rows[1].clone(), rows[0].clone()]);
    let after = Some(position(&started("u", "s", NOW - 9, "SK")));
    assert_eq!(store.starts(&country("SK"), window(NOW, NOW + 2), after, 9).await.unwrap(), []);
}

fn position(start: &SessionStart) -> StartPosition {
    StartPosition { ts: start.ts, session: start.session.clone(), user: start.user.clone() }
}

/// Every row that exists from the first page to the last is on exactly one page.
async fn pages_of_starts_neither_skip_nor_repeat_while_rows_are_added(backend: &impl Backend) {
    let store = backend.open().await;
    let row = |n: i64| started(&format!("u{}", n % 2), &format!("s{}", n % 7), NOW + n / 5, "SK");
    let there: Vec<_> = (0..60).step_by(2).map(row).collect();
    record(&store, &there).await;
    let (mut found, mut after, mut added) = (Vec::new(), None, (1..60).step_by(2));
    loop {
        let page = store.starts(&country("SK"), ever(), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(position(last));
        found.extend(page);
        assert!(found.len() <= 60, "a page repeats");
        record(&store, &added.by_ref().take(4).map(row).collect::<Vec<_>>()).await;
    }
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len());
    assert!(there.iter().all(|row| distinct.contains(row)));
}

async fn pages_of_sessions_neither_skip_nor_repeat_while_rows_are_added(backend: &impl Backend) {
    let store = backend.open().await;
    let row = |n: i64| completed("u", &format!("s{n}"), NOW, "SK", NOW + n / 5);
    let there: Vec<_> = (0..60).step_by(2).map(row).collect();
    complete(&store, &there).await;
    let (mut found, mut after, mut added) = (Vec::new(), None, (1..60).step_by(2));
    let user = UserId::new("u").unwrap();
    loop {
        let page = store.completed(&user, Timestamp::MIN, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(SessionPosition { ts: last.ended_at, session: last.session.clone() });
        found.extend(page);
        assert!(found.len() <= 60, "a page repeats");
        complete(&store, &added.by_ref().take(4).map(row).collect::<Vec<_>>()).await;
    }
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len());
    assert!(there.iter().all(|row| distinct.contains(row)));
}

async fn pages_go_on_behind_a_row_that_was_superseded_meanwhile(backend: &impl Backend) {
    let store = backend.open().await;
    let rows: Vec<_> = (0..4).map(|n| started("u", &format!("s{n}"), NOW - n, "SK")).collect();
    record(&store, &rows).await;
    let page = store.starts(&country("SK"), ever(), None, 2).await.unwrap();
    apply(&store, rows[1..3].iter().cloned().map(Effect::SupersedeStart)).await;
    let rest = store.starts(&country("SK"), ever(), Some(position(&page[1])), 2).await.unwrap();
    assert_eq!(rest, rows[3..]);
}

async fn users_whose_names_begin_alike_do_not_see_each_other(backend: &impl Backend) {
    let store = backend.open().await;
    let longest = "u".repeat(128);
    let users = ["u", "uu", "u ", "u\u{10FFFF}", longest.as_str()];
    complete(&store, &users.map(|user| completed(user, "u", NOW, "SK", NOW))).await;
    for user in users {
        assert_eq!(sessions_of(&store, user).await, [completed(user, "u", NOW, "SK", NOW)]);
    }
    assert_eq!(sessions_of(&store, "uuu").await, []);
}

async fn countries_whose_names_begin_alike_do_not_see_each_other(backend: &impl Backend) {
    let store = backend.open().await;
    let names = ["S", "SK", "SKX", "日", "日本"];
    for name in names {
        record(&store, &[started("u", "s", NOW, name)]).await;
    }
    for name in names {
        let all = Window { from: Timestamp::MIN, to: Timestamp::MAX };
        assert_eq!(starts(&store, name, all).await, [started("u", "s", NOW, name)]);
    }
    assert_eq!(starts(&store, "K", ever()).await, []);
}

async fn a_country_is_known_by_its_superseded_starts_too(backend: &impl Backend) {
    let store = backend.open().await;
    apply(&store, [Effect::SupersedeStart(started("u", "s", NOW, "SK"))]).await;
    assert_eq!(countries(&store, at(NOW)).await, [country("SK")]);
    assert_eq!(countries(&store, at(NOW + 1)).await, []);
}

async fn a_country_has_no_start_behind_its_instant(backend: &impl Backend) {
    let store = backend.open().await;
    record(&store, &[started("u", "s", NOW, "SK"), started("u", "t", NOW - 3 * DAY, "SK")]).await;
    record(
        &store,
        &[started("u", "v", NOW - 3 * DAY, "AT"), started("u", "w", NOW - 2 * DAY, "AT")],
    )
    .await;
    let known = store.countries(at(NOW - 9 * DAY), None, usize::MAX).await.unwrap();
    let known: BTreeMap<_, _> = known.into_iter().collect();
    for (name, newest) in [("AT", NOW - 2 * DAY), ("SK", NOW)] {
        // The bound is close to the start: reads between the two would be in vain.
        assert!((at(newest)..at(newest + DAY)).contains(&known[&country(name)]), "{known:?}");
    }
}

async fn countries_are_in_the_order_of_their_names(backend: &impl Backend) {
    let store = backend.open().await;
    for name in ["ZZ", "AT", "日本", "SK", "S", "1"] {
        record(&store, &[started("u", "s", NOW, name)]).await;
    }
    let expected = ["1", "AT", "S", "SK", "ZZ", "日本"].map(country);
    assert_eq!(countries(&store, at(NOW)).await, expected);
}

async fn rows_and_markers_survive_persisting_and_reopening(backend: &impl Backend) {
    let store = backend.open().await;
    record(&store, &[started("u", "s", NOW, "SK"), started("u", "t", NOW, "AT")]).await;
    complete(&store, &[completed("u", "s", NOW, "SK", NOW), completed("u", "t", NOW, "AT", NOW)])
        .await;
    apply(&store, [Effect::SupersedeStart(started("u", "t", NOW, "AT"))]).await;
    apply(&store, [Effect::SupersedeCompleted(completed("u", "t", NOW, "AT", NOW))]).await;
    store.persist().await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(starts(&store, "SK", ever()).await, [started("u", "s", NOW, "SK")]);
    assert_eq!(starts(&store, "AT", ever()).await, []);
    assert_eq!(sessions_of(&store, "u").await, [completed("u", "s", NOW, "SK", NOW)]);
    assert_eq!(countries(&store, at(NOW)).await, [country("AT"), country("SK")]);
}

async fn applying_nothing_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    apply(&store, []).await;
    assert_eq!(countries(&store, Timestamp::MIN).await, []);
    store.ready().await.unwrap();
}

async fn the_users_of_completed_sessions_are_listed_once_each_in_pages(backend: &impl Backend) {
    let store = backend.open().await;
    let names: Vec<_> = (0..7).map(|number| format!("user{number}")).collect();
    for name in &names {
        let rows = ["a", "b"].map(|session| completed(name, session, NOW, "SK", NOW + 1));
        complete(&store, &rows).await;
    }
    // Also a user whose only row is superseded.
    let superseded = completed("v", "s", NOW, "SK", NOW + 1);
    complete(&store, std::slice::from_ref(&superseded)).await;
    apply(&store, [Effect::SupersedeCompleted(superseded)]).await;
    for limit in [1, 3, 8, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.completed_users(after.take(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page);
        }
        found.sort();
        let found: Vec<_> = found.iter().map(UserId::as_str).collect();
        let expected: Vec<_> = names.iter().map(String::as_str).chain(["v"]).collect();
        assert_eq!(found, expected, "{limit}");
    }
}
