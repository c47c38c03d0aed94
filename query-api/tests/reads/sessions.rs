//! The sessions of a user: complete, open and orphan ones, and the explanation of a session.

use serde_json::{Value, json};
use shared::{
    event::Country,
    session::{Fact, Start},
};

use crate::world::{World, at, end, start};

const DAY: &str = "2019-05-12T";

fn s(session: &str, from: &str, to: &str) -> [crate::world::Event; 2] {
    [start("u", session, &format!("{DAY}{from}Z"), "SK"), end("u", session, &format!("{DAY}{to}Z"))]
}

fn ids(reply: &Value) -> Vec<&str> {
    let sessions = reply["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["session_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn complete_sessions_are_listed_newest_end_first_and_equal_ends_by_session() {
    let events = [
        s("b", "10:00:00", "11:00:00"),
        s("a", "10:30:00", "11:00:00"),
        s("c", "09:00:00", "12:00:00.500"),
    ];
    let world = World::of(&events.concat()).await;
    let a = r#"{"user_id":"u","session_id":"a","country":"SK","started_at":"2019-05-12T10:30:00Z","ended_at":"2019-05-12T11:00:00Z","duration_ms":1800000}"#;
    let b = r#"{"user_id":"u","session_id":"b","country":"SK","started_at":"2019-05-12T10:00:00Z","ended_at":"2019-05-12T11:00:00Z","duration_ms":3600000}"#;
    let c = r#"{"user_id":"u","session_id":"c","country":"SK","started_at":"2019-05-12T09:00:00Z","ended_at":"2019-05-12T12:00:00.500Z","duration_ms":10800500}"#;
    assert_eq!(
        world.text("/v1/users/u/sessions").await,
        format!(r#"{{"user_id":"u","sessions":[{c},{a},{b}],"next":null}}"#)
    );
    assert_eq!(
        world.text("/user/last-sessions-user?user_id=u").await,
        format!(r#"{{"u":[{c},{a},{b}]}}"#)
    );
    assert_eq!(
        world.text("/user/last-sessions-user?player_id=u").await,
        format!(r#"{{"u":[{c},{a},{b}]}}"#)
    );
    for body in [r#"{"player_id": "u"}"#, r#" {"user_id":"u","more":[1]}"#] {
        assert_eq!(world.root(body).await, (200, format!("[{c},{a},{b}]")), "{body}");
    }
}

#[tokio::test]
async fn every_query_about_a_user_has_a_twin_by_query_parameter() {
    let sessions = ["a/b", "b+c", "%", "d"];
    let of = |session: &str| {
        let user = "team/42";
        let from = start(user, session, "2019-05-12T10:00:00Z", "SK");
        [from, end(user, session, "2019-05-12T11:00:00Z")]
    };
    let mut events: Vec<_> = sessions.iter().flat_map(|session| of(session)).collect();
    events.push(start("team/42", "open", "2019-05-12T10:00:00Z", "SK"));
    events.push(end("team/42", "orphan", "2019-05-12T10:00:00Z"));
    let world = World::of(&events).await;
    let lists = |query: &str| {
        let twin = format!("/v1/sessions?user_id=team/42&{query}");
        (format!("/v1/users/team%2F42/sessions?{query}"), twin)
    };
    for query in ["", "status=complete", "status=open", "status=orphan&limit=1", "limit=2"] {
        let (path, twin) = lists(query);
        let reply = world.text(&path).await;
        assert!(reply.contains("session_id") && world.text(&twin).await == reply, "{query}");
    }
    // A page may be continued by either.
    let (path, twin) = lists("limit=2");
    let next = world.json(&twin).await["next"].as_str().unwrap().to_owned();
    let page = world.text(&format!("{path}&cursor={next}")).await;
    assert_eq!(world.text(&format!("{twin}&cursor={next}")).await, page);
    for (session, escaped) in [("a/b", "a%2Fb"), ("b%2Bc", "b+c"), ("%25", "%25"), ("open", "open")]
    {
        let path = format!("/v1/users/team%2F42/sessions/{escaped}");
        let twin = format!("/v1/session?session_id={session}&user_id=team%2F42");
        assert_eq!(world.text(&twin).await, world.text(&path).await, "{session}");
    }
    let (status, code, _) = world.error("/v1/session?user_id=team/42&session_id=x").await;
    assert_eq!((status, code.as_str()), (404, "unknown_session"));
}

/// Earlier versions accepted more placeholders as ids, and did not compose countries.
#[tokio::test]
async fn what_an_earlier_version_stored_is_still_read() {
    let letters = "\u{1112}\u{1161}\u{11ab}";
    let (key, _) = start("None", " ", "2019-05-12T10:00:00Z", "SK");
    let country = Country::stored(letters).unwrap();
    let begin = Fact::Start(Start { ts: at("2019-05-12T10:00:00Z"), country });
    let world = World::of(&[(key, begin), end("None", " ", "2019-05-12T11:00:00Z")]).await;
    for path in [
        "/v1/users/None/sessions",
        "/v1/users/None/sessions/%20",
        "/v1/session?user_id=None&session_id=+",
        "/user/last-sessions-user?user_id=None",
    ] {
        let reply = world.text(path).await;
        assert!(
            reply.contains(letters) && reply.contains("2019-05-12T11:00:00Z"),
            "{path}: {reply}"
        );
    }
    let starts = world.json("/v1/session-starts?days=2").await;
    assert_eq!(starts["countries"][letters][0]["user_id"], "None");
    assert_eq!(ids(&world.json("/v1/users/NULL/sessions").await), Vec::<&str>::new());
}

#[tokio::test]
async fn an_unknown_user_has_no_sessions() {
    let world = World::new();
    for status in ["", "?status=complete", "?status=open", "?status=orphan"] {
        let reply = world.text(&format!("/v1/users/nobody/sessions{status}")).await;
        assert_eq!(reply, r#"{"user_id":"nobody","sessions":[],"next":null}"#);
    }
    assert_eq!(world.text("/user/last-sessions-user?user_id=nobody").await, r#"{"nobody":[]}"#);
    assert_eq!(world.root(r#"{"user_id":"nobody"}"#).await, (200, "[]".to_owned()));
}

#[tokio::test]
async fn the_last_twenty_are_given_unless_more_are_asked_for() {
    let session = |n: u32| s(&format!("s{n:02}"), "10:00:00", &format!("11:00:{n:02}"));
    let world = World::of(&(0..25).flat_map(session).collect::<Vec<_>>()).await;
    let first = world.json("/v1/users/u/sessions").await;
    assert_eq!((ids(&first).len(), ids(&first)[0], ids(&first)[19]), (20, "s24", "s05"));
    let all = world.json("/v1/users/u/sessions?limit=100").await;
    assert_eq!((ids(&all).len(), &all["next"]), (25, &Value::Null));
    assert_eq!(world.json("/v1/users/u/sessions?limit=25").await["next"], Value::Null);
    let last = world.json("/user/last-sessions-user?user_id=u").await;
    assert_eq!(last["u"].as_array().unwrap().len(), 20);
    let (_, last) = world.root(r#"{"user_id":"u"}"#).await;
    assert_eq!(serde_json::from_str::<Value>(&last).unwrap().as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn open_and_orphan_sessions_are_listed_newest_first_by_the_time_they_have() {
    let world = World::of(&[
        start("u", "open-b", "2019-05-12T10:00:00Z", "SK"),
        start("u", "open-a", "2019-05-12T10:00:00Z", "DE"),
        start("u", "ended-before", "2019-05-12T12:00:00Z", "SK"),
        end("u", "ended-before", "2019-05-12T11:00:00Z"),
        end("u", "orphan-a", "2019-05-12T08:00:00Z"),
        end("u", "orphan-b", "2019-05-12T09:00:00Z"),
        end("u", "orphan-b", "2019-05-12T07:00:00Z"),
        start("u", "complete", "2019-05-12T10:00:00Z", "SK"),
        end("u", "complete", "2019-05-12T10:00:00Z"),
        start("v", "another-user", "2019-05-12T10:00:00Z", "SK"),
    ])
    .await;
    assert_eq!(
        world.text("/v1/users/u/sessions?status=open").await,
        r#"{"user_id":"u","sessions":["#.to_owned()
            + r#"{"user_id":"u","session_id":"ended-before","country":"SK","started_at":"2019-05-12T12:00:00Z"},"#
            + r#"{"user_id":"u","session_id":"open-a","country":"DE","started_at":"2019-05-12T10:00:00Z"},"#
            + r#"{"user_id":"u","session_id":"open-b","country":"SK","started_at":"2019-05-12T10:00:00Z"}],"next":null}"#
    );
    assert_eq!(
        world.text("/v1/users/u/sessions?status=orphan").await,
        r#"{"user_id":"u","sessions":["#.to_owned()
            + r#"{"user_id":"u","session_id":"orphan-a","ended_at":"2019-05-12T08:00:00Z"},"#
            + r#"{"user_id":"u","session_id":"orphan-b","ended_at":"2019-05-12T07:00:00Z"}],"next":null}"#
    );
    assert_eq!(ids(&world.json("/v1/users/u/sessions?status=complete").await), ["complete"]);
}

#[tokio::test]
async fn open_sessions_are_found_among_more_than_one_step_looks_at() {
    let world = World::new();
    let noise = (0..600).map(|n| end("u", &format!("n{n:03}"), "2019-05-12T08:00:00Z"));
    world.feed(&noise.collect::<Vec<_>>()).await;
    world
        .feed(&[
            start("u", "a", "2019-05-12T07:00:00Z", "SK"),
            start("u", "z", "2019-05-12T09:00:00Z", "SK"),
        ])
        .await;
    assert_eq!(ids(&world.json("/v1/users/u/sessions?status=open").await), ["z", "a"]);
    let pages = world.pages("/v1/users/u/sessions?status=orphan", &[100, 7], async |_| {}).await;
    let orphans: Vec<_> = pages.iter().flat_map(ids).map(str::to_owned).collect();
    assert_eq!(orphans, (0..600).map(|n| format!("n{n:03}")).collect::<Vec<_>>());
}

/// The number of sessions that a query reads.
const MOST: i64 = 20_000;

#[tokio::test]
async fn a_history_beyond_the_bound_is_paged_in_the_order_of_ids_and_nothing_is_missing_or_twice() {
    let world = World::new();
    world.feed_ends(0..MOST).await;
    world.feed(&[start("u", "s19999-open", "2019-05-12T09:00:00Z", "SK")]).await;
    let path = |status: &str, more: &str| format!("/v1/users/u/sessions?status={status}{more}");

    // One session above the bound: an open one, at the end of the ids.
    let first = world.json(&path("open", "")).await;
    assert_eq!((ids(&first).len(), &first["order"]), (0, &json!("session_id")));
    let next = first["next"].as_str().unwrap();
    let second = world.json(&path("open", &format!("&cursor={next}"))).await;
    assert_eq!(ids(&second), ["s19999-open"]);
    assert_eq!((&second["order"], &second["next"]), (&json!("session_id"), &Value::Null));
    let counted = "bookend_query_long_histories_total 2";
    assert!(world.metrics().contains(counted), "{}", world.metrics());

    let pages = world.pages(&path("orphan", ""), &[100], async |_| {}).await;
    let orphans: Vec<_> = pages.iter().flat_map(ids).map(str::to_owned).collect();
    assert_eq!(orphans, (0..MOST).map(|n| format!("s{n:05}")).collect::<Vec<_>>());
    assert!(pages.iter().all(|page| page["order"] == "session_id"));
}

#[tokio::test]
async fn pages_that_began_newest_first_go_on_when_the_history_grows_beyond_the_bound() {
    let world = World::new();
    world.feed_ends(0..MOST).await;
    let grow = async |page: usize| {
        if page == 1 {
            // Newer than the first page, so it is on none of its pages.
            world.feed_ends(MOST..MOST + 1).await;
        }
    };
    let pages = world.pages("/v1/users/u/sessions?status=orphan", &[3, 100], grow).await;
    assert_eq!(ids(&pages[0]), ["s19999", "s19998", "s19997"]);
    assert_eq!((pages[0].get("order"), &pages[1]["order"]), (None, &json!("session_id")));
    let rest: Vec<_> = pages[1..].iter().flat_map(ids).map(str::to_owned).collect();
    assert_eq!(rest, (0..MOST - 3).map(|n| format!("s{n:05}")).collect::<Vec<_>>());
    // Complete sessions are never in the order of ids.
    for next in [&pages[0]["next"], &pages[1]["next"]] {
        let complete = format!("/v1/users/u/sessions?cursor={}", next.as_str().unwrap());
        assert_eq!(world.error(&complete).await.1, "invalid_cursor");
    }
}

#[tokio::test]
async fn a_superseded_pair_is_not_listed() {
    let mut events = s("s", "10:00:00", "12:00:00").to_vec();
    events.push(end("u", "s", "2019-05-12T11:00:00Z"));
    events.push(start("u", "s", "2019-05-12T09:00:00Z", "DE"));
    let reply = World::of(&events).await.json("/v1/users/u/sessions").await;
    let session = &reply["sessions"][0];
    assert_eq!(ids(&reply), ["s"]);
    assert_eq!(
        (&session["started_at"], &session["country"]),
        (&json!("2019-05-12T09:00:00Z"), &json!("DE"))
    );
    assert_eq!(session["ended_at"], "2019-05-12T11:00:00Z");
}

#[tokio::test]
async fn a_complete_session_is_explained_with_its_facts_in_the_order_of_time() {
    let mut events = s("s", "10:00:00", "12:00:00").to_vec();
    events.push(end("u", "s", "2019-05-12T09:00:00Z"));
    assert_eq!(
        World::of(&events).await.text("/v1/users/u/sessions/s").await,
        r#"{"user_id":"u","session_id":"s","status":"complete","facts":["#.to_owned()
            + r#"{"kind":"end","ts":"2019-05-12T09:00:00Z"},"#
            + r#"{"kind":"start","ts":"2019-05-12T10:00:00Z","country":"SK"},"#
            + r#"{"kind":"end","ts":"2019-05-12T12:00:00Z"}],"#
            + r#""session":{"user_id":"u","session_id":"s","country":"SK","started_at":"2019-05-12T10:00:00Z","#
            + r#""ended_at":"2019-05-12T12:00:00Z","duration_ms":7200000},"#
            + r#""why":"The session is complete because it started at 2019-05-12T10:00:00Z in SK and it ended at "#
            + r#"2019-05-12T12:00:00Z; 1 end before the start does not count."}"#
    );
}

#[tokio::test]
async fn an_orphan_is_explained_without_a_session() {
    let world = World::of(&[end("u", "s", "2019-05-12T09:00:00Z")]).await;
    assert_eq!(
        world.text("/v1/users/u/sessions/s").await,
        r#"{"user_id":"u","session_id":"s","status":"orphan","facts":[{"kind":"end","ts":"2019-05-12T09:00:00Z"}],"#
            .to_owned()
            + r#""session":null,"why":"The session is an orphan because it ended at 2019-05-12T09:00:00Z and no start "#
            + r#"of it is known."}"#
    );
}

#[tokio::test]
async fn an_answer_is_the_same_before_and_after_retention_has_swept() {
    let world = World::new();
    let events = [
        start("u", "left", "2018-05-01T00:00:00Z", "SK"),
        end("u", "left", "2019-05-12T00:00:00Z"),
        end("u", "open", "2018-05-01T00:00:00Z"),
        start("u", "open", "2019-05-12T00:00:00Z", "SK"),
        end("u", "orphan", "2018-05-01T00:00:00Z"),
        end("u", "orphan", "2019-05-12T00:00:00Z"),
    ];
    world.feed_at(&events, at("2019-04-01T00:00:00Z")).await;
    let ask = async || {
        let mut answers = Vec::new();
        for path in ["left", "open", "orphan"] {
            let reply = world.reply(&format!("/v1/users/u/sessions/{path}")).await;
            answers.push((reply.status().as_u16(), reply.into_body()));
        }
        for status in ["complete", "open", "orphan"] {
            answers.push((
                200,
                world.text(&format!("/v1/users/u/sessions?status={status}")).await.into(),
            ));
        }
        answers
    };
    let before = ask().await;
    assert_eq!(before[..3].iter().map(|(status, _)| *status).collect::<Vec<_>>(), [404, 200, 404]);
    let horizon = at("2018-05-13T12:00:00Z");
    assert_eq!(world.store.sweep(horizon, None).await.unwrap(), None);
    assert!(world.store.facts(&crate::world::key("u", "open")).await.unwrap().ends().is_empty());
    assert_eq!(ask().await, before);
}

#[tokio::test]
async fn ids_of_any_text_are_reached_by_their_percent_encoding() {
    let ids = [
        ("a/b c", "a%2Fb%20c"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("🍋 žltý", "%F0%9F%8D%8B%20%C5%BElt%C3%BD"),
        ("a+b", "a+b"),
        ("q?x=1&y#z", "q%3Fx=1&y%23z"),
        ("..", "%2E%2E"),
        ("\"\\", "%22%5c"),
    ];
    let world = World::new();
    for (id, encoded) in ids {
        world
            .feed(&[
                start(id, id, "2019-05-12T10:00:00Z", "SK"),
                end(id, id, "2019-05-12T11:00:00Z"),
            ])
            .await;
        let reply = world.json(&format!("/v1/users/{encoded}/sessions")).await;
        assert_eq!(
            (&reply["user_id"], &reply["sessions"][0]["session_id"]),
            (&json!(id), &json!(id))
        );
        let reply = world.json(&format!("/v1/users/{encoded}/sessions/{encoded}")).await;
        assert_eq!((&reply["session_id"], &reply["status"]), (&json!(id), &json!("complete")));
        let query = encoded.replace('+', "%2B").replace('&', "%26");
        let reply = world.json(&format!("/user/last-sessions-user?user_id={query}")).await;
        assert_eq!(reply[id][0]["user_id"], json!(id));
    }
}
