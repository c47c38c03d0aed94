//! The pages together are the whole reply, for any limits and with rows that are added in between.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use shared::{
    event::Country,
    session::{Fact, Start},
    timestamp::Timestamp,
};

use crate::world::{Event, World, at, key, start, started};

#[tokio::test]
async fn a_page_names_every_country_up_to_its_end_and_none_behind_it() {
    let world = World::new();
    for (n, country) in ["AT", "BE", "BE", "CZ"].into_iter().enumerate() {
        world
            .feed(&[start("u", &format!("s{n}"), &format!("2019-05-12T1{n}:00:00Z"), country)])
            .await;
    }
    world.feed(&[start("u", "old", "2019-01-01T00:00:00Z", "PL")]).await;
    let pages = world
        .pages(
            "/v1/session-starts?days=2&country=XX&country=AT&country=BE&country=CZ",
            &[2],
            async |_| {},
        )
        .await;
    let names =
        |page: &Value| page["countries"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        pages.iter().map(names).collect::<Vec<_>>(),
        [vec!["AT", "BE"], vec!["BE", "CZ", "XX"]]
    );
    let pages = world.pages("/v1/session-starts?days=2", &[2], async |_| {}).await;
    assert_eq!(
        pages.iter().map(names).collect::<Vec<_>>(),
        [vec!["AT", "BE"], vec!["BE", "CZ", "PL"]]
    );
    // `[]` would be wrong for a country whose starts are on the next page.
    let pages = world.pages("/v1/session-starts?days=2", &[1, 3], async |_| {}).await;
    assert_eq!(pages.iter().map(names).collect::<Vec<_>>(), [vec!["AT"], vec!["BE", "CZ", "PL"]]);
}

/// The starts of many countries, three of which have one in the last two days.
async fn world_of_many(countries: usize) -> World {
    let world = World::new();
    let ts = |n| match n % (countries / 3) {
        1 => "2019-05-12T10:00:00Z",
        _ => "2019-04-01T10:00:00Z",
    };
    let start = |n: usize| start("u", &format!("s{n}"), ts(n), &format!("C{n:05}"));
    world.feed_starts((0..countries).map(start)).await;
    world
}

#[tokio::test]
async fn a_page_names_a_thousand_countries_at_most_and_the_pages_name_each_once() {
    let world = world_of_many(2_100).await;
    let all: Vec<_> = (0..2_100).map(|n| format!("C{n:05}")).collect();
    for (limit, sizes) in [(1_000, vec![1_000, 1_000, 100]), (1, vec![701, 700, 699])] {
        let pages = world.pages("/v1/session-starts?days=2", &[limit], async |_| {}).await;
        let names = pages
            .iter()
            .map(|page| page["countries"].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        let names: Vec<_> = names.collect();
        assert_eq!(names.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{limit}");
        assert_eq!(names.concat(), all);
        assert_eq!(started(&pages).values().map(Vec::len).sum::<usize>(), 3);
    }
    let whole = world.json("/user/last-events?days=2").await;
    assert!(whole.as_object().unwrap().keys().eq(&all));
}

#[tokio::test]
async fn counts_of_more_than_ten_thousand_countries_go_on_after_a_cursor() {
    let world = world_of_many(10_500).await;
    let counts = "/v1/session-starts/counts?days=2";
    for (query, key) in [("", "countries"), ("&step=day", "series")] {
        let first = world.json(&format!("{counts}{query}")).await;
        assert_eq!(first[key].as_object().unwrap().len(), 10_000);
        let next = format!("{counts}{query}&cursor={}", first["next"].as_str().unwrap());
        let last = world.json(&next).await;
        let names: Vec<_> = last[key].as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, (10_000..10_500).map(|n| format!("C{n:05}")).collect::<Vec<_>>());
        assert_eq!(last["next"], Value::Null);
        for other in ["&step=hour", "&country=SK", "&top=3"] {
            assert_eq!(world.error(&format!("{next}{other}")).await.0, 400, "{other}");
        }
    }
    let top = world.json(&format!("{counts}&top=2")).await;
    let expected = json!({ "C00001": 1, "C03501": 1 });
    assert_eq!(
        (&top["countries"], &top["others"], &top["next"]),
        (&expected, &json!(1), &Value::Null)
    );
    let top = world.json(&format!("{counts}&top=1&step=day&country=C07001&country=XX")).await;
    let day = json!([{ "ts": "2019-05-12T00:00:00Z", "starts": 1 }]);
    assert_eq!((&top["series"], &top["others"]), (&json!({ "C07001": day }), &json!([])));
    for wrong in ["0", "101", "x"] {
        assert_eq!(world.error(&format!("{counts}&top={wrong}")).await.1, "invalid_top");
    }
}

#[tokio::test]
async fn a_later_page_asks_the_window_of_the_first_although_time_has_passed() {
    let starts =
        ["s1", "s2", "s3"].map(|session| start("u", session, "2019-05-13T11:00:00Z", "SK"));
    let (now, tomorrow) = (World::of(&starts).await, World::at("2019-05-14T12:00:00Z"));
    tomorrow.feed(&starts).await;
    let first = now.json("/v1/session-starts?hours=2&limit=1").await;
    let next = first["next"].as_str().unwrap();
    let rest = tomorrow.json(&format!("/v1/session-starts?hours=2&cursor={next}")).await;
    assert_eq!((&rest["from"], &rest["to"]), (&first["from"], &first["to"]));
    assert_eq!(started(&[rest])["SK"], ["s2", "s3"]);
}

#[tokio::test]
async fn a_cursor_goes_on_although_its_country_has_left_meanwhile() {
    let (at_0, be) = (
        start("u", "s0", "2019-05-10T10:00:00Z", "AT"),
        [
            start("u", "s1", "2019-05-12T10:00:00Z", "BE"),
            start("u", "s2", "2019-05-12T09:00:00Z", "BE"),
        ],
    );
    let (before, after) = (World::of(&be).await, World::of(&be).await);
    before.feed(&[at_0]).await;
    let first = before.json("/v1/session-starts?days=9&limit=1").await;
    let next = first["next"].as_str().unwrap();
    let rest = started(&[after.json(&format!("/v1/session-starts?days=9&cursor={next}")).await]);
    assert_eq!(
        rest.into_iter().collect::<Vec<_>>(),
        [("BE".to_owned(), vec!["s1".to_owned(), "s2".to_owned()])]
    );
}

#[tokio::test]
async fn a_limit_counts_over_the_whole_reply_and_a_page_that_just_fits_is_the_last() {
    let world = World::new();
    world
        .feed_starts(
            (0..30).map(|n| {
                start("u", &format!("s{n}"), "2019-05-12T10:00:00Z", &format!("C{}", n % 7))
            }),
        )
        .await;
    let size =
        |page: &Value| started(std::slice::from_ref(page)).values().map(Vec::len).sum::<usize>();
    let cut = world.json("/v1/session-starts?days=2&limit=29").await;
    assert_eq!((size(&cut), cut["next"].is_string()), (29, true));
    let whole = world.json("/v1/session-starts?days=2&limit=30").await;
    assert_eq!((size(&whole), whole["next"].is_null()), (30, true));
}

#[tokio::test]
async fn a_thousand_starts_are_given_unless_more_are_asked_for() {
    let world = World::new();
    world
        .feed_starts((0..2_500).map(|n| start("u", &format!("s{n}"), "2019-05-12T10:00:00Z", "SK")))
        .await;
    let sizes = async |path: &str| started(&[world.json(path).await])["SK"].len();
    assert_eq!(sizes("/v1/session-starts?days=2").await, 1_000);
    assert_eq!(sizes("/v1/session-starts?days=2&limit=2100").await, 2_100);
    assert_eq!(sizes("/v1/session-starts?days=2&limit=10000").await, 2_500);
}

const COUNTRIES: [&str; 4] = ["AT", "BE", "NA", "ZZ"];
const USERS: [&str; 2] = ["u", "w x"];

/// The user, the session, the time in seconds, and the country of a start.
type Draw = (usize, u8, i64, Option<usize>);

fn draws(most: usize) -> impl Strategy<Value = Vec<Draw>> {
    vec((0..USERS.len(), 0..12u8, 0..15i64, proptest::option::of(0..COUNTRIES.len())), 1..most)
}

fn event((user, session, ts, country): &Draw, prefix: &str) -> Event {
    let ts = at("2019-05-12T10:00:00Z") + ts * 1_000;
    let fact = match country {
        Some(country) => {
            Fact::Start(Start { ts, country: Country::normalise(COUNTRIES[*country]) })
        }
        None => Fact::End(ts),
    };
    (key(USERS[*user], &format!("{prefix}{session}")), fact)
}

/// Marks the id of a session that is added between pages.
const LATER: &str = "later";

/// Adds a whole session at once, because a session that is completed between pages moves in the
/// order of the list. Its id sorts before, between or after the others.
fn added_later(n: usize, draw: &Draw) -> Vec<Event> {
    let (user, _, ts, country) = *draw;
    let prefix = format!("{}{LATER}{n}-", ["a", "s1", "z"][n % 3]);
    let mut events = vec![event(draw, &prefix)];
    if country.is_some() && n.is_multiple_of(2) {
        events.push(event(&(user, draw.1, ts + 1, None), &prefix));
    }
    events
}

/// The expected replies, computed by the rule alone: the sessions in the order of each list.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    starts: BTreeMap<String, Vec<String>>,
    listed: BTreeMap<(&'static str, String), Vec<String>>,
}

fn naive(events: &[Event], window: (Timestamp, Timestamp)) -> Naive {
    let keys: BTreeSet<_> = events.iter().map(|(key, _)| key).collect();
    let mut starts = Vec::new();
    let mut listed = Vec::new();
    for key in keys {
        let facts = || events.iter().filter(|(other, _)| other == key).map(|(_, fact)| fact);
        let start = facts()
            .filter_map(|fact| if let Fact::Start(start) = fact { Some(start) } else { None })
            .min();
        let ends =
            facts().filter_map(|fact| if let Fact::End(end) = fact { Some(*end) } else { None });
        let end = ends.filter(|end| start.is_none_or(|start| *end >= start.ts)).min();
        if let Some(start) = start.filter(|start| window.0 <= start.ts && start.ts < window.1) {
            starts.push((
                start.country.as_str(),
                -start.ts.millis(),
                key.session.as_str(),
                key.user.as_str(),
            ));
        }
        let (status, ts) = match (start, end) {
            (Some(_), Some(end)) => ("complete", end),
            (Some(start), None) => ("open", start.ts),
            (None, Some(end)) => ("orphan", end),
            (None, None) => continue,
        };
        listed.push((status, key.user.as_str(), -ts.millis(), key.session.as_str()));
    }
    starts.sort_unstable();
    listed.sort_unstable();
    let mut naive = Naive::default();
    for (country, _, session, user) in starts {
        naive.starts.entry(country.to_owned()).or_default().push(format!("{user}/{session}"));
    }
    for (status, user, _, session) in listed {
        naive.listed.entry((status, user.to_owned())).or_default().push(session.to_owned());
    }
    naive
}

/// The replies of the service, page by page; `between` runs after every page.
async fn paged(
    world: &World,
    window: (Timestamp, Timestamp),
    limits: &[usize],
    mut between: impl AsyncFnMut(usize),
) -> Naive {
    let mut found = Naive::default();
    let path = format!("/v1/session-starts?from={}&to={}", window.0, window.1);
    for page in world.pages(&path, limits, &mut between).await {
        let mut rows = 0;
        for (country, starts) in page["countries"].as_object().unwrap() {
            for start in starts.as_array().unwrap() {
                let [user, session] =
                    ["user_id", "session_id"].map(|name| start[name].as_str().unwrap());
                found.starts.entry(country.clone()).or_default().push(format!("{user}/{session}"));
                rows += 1;
            }
        }
        assert!(limits.iter().any(|limit| rows <= *limit));
        assert!(rows > 0 || page["next"].is_null(), "an empty page is the last: {page}");
    }
    for status in ["complete", "open", "orphan"] {
        for user in USERS {
            let path = format!("/v1/users/{}/sessions?status={status}", user.replace(' ', "%20"));
            for page in world.pages(&path, limits, &mut between).await {
                let sessions = page["sessions"].as_array().unwrap().iter();
                let ids: Vec<_> = sessions
                    .map(|session| session["session_id"].as_str().unwrap().to_owned())
                    .collect();
                if !ids.is_empty() {
                    found.listed.entry((status, user.to_owned())).or_default().extend(ids);
                }
            }
        }
    }
    found
}

/// Removes the sessions that were added later, and the lists that are empty without them.
fn there_from_the_first(naive: &Naive) -> Naive {
    let keep = |ids: &Vec<String>| {
        ids.iter().filter(|id| !id.contains(LATER)).cloned().collect::<Vec<_>>()
    };
    let starts = naive.starts.iter().map(|(country, ids)| (country.clone(), keep(ids)));
    let listed = naive.listed.iter().map(|(of, ids)| (of.clone(), keep(ids)));
    Naive {
        starts: starts.filter(|(_, ids)| !ids.is_empty()).collect(),
        listed: listed.filter(|(_, ids)| !ids.is_empty()).collect(),
    }
}

fn assert_each_once(naive: &Naive) {
    for ids in naive.starts.values().chain(naive.listed.values()) {
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pages_of_every_question_put_together_are_the_naive_answer(
        draws in draws(60), limits in vec(1..7usize, 1..4), from in 0..8i64, length in 0..16i64,
    ) {
        run(async {
            let events: Vec<_> = draws.iter().map(|draw| event(draw, "s")).collect();
            let from = at("2019-05-12T10:00:00Z") + from * 1_000;
            let window = (from, from + length * 1_000);
            let world = World::of(&events).await;
            let found = paged(&world, window, &limits, async |_| {}).await;
            assert_eq!(found, naive(&events, window));
        });
    }

    #[test]
    fn sessions_that_are_added_between_pages_neither_hide_nor_repeat_any(
        old in draws(50), new in draws(40), limits in vec(1..5usize, 1..4),
    ) {
        run(async {
            let old: Vec<_> = old.iter().map(|draw| event(draw, "s")).collect();
            let window = (at("2019-05-12T10:00:00Z"), at("2019-05-12T10:00:15Z"));
            let world = World::of(&old).await;
            let mut adding = new.iter().enumerate();
            let found = paged(&world, window, &limits, async |_| {
                for (n, draw) in adding.by_ref().take(2) {
                    world.feed(&added_later(n, draw)).await;
                }
            }).await;
            assert_each_once(&found);
            assert_eq!(there_from_the_first(&found), naive(&old, window));
        });
    }
}
