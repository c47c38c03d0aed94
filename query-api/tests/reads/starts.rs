//! Starts by country: lists, counts, and the call of the seeds.

use serde_json::json;

use crate::world::{World, at, end, start, started};

const MAY_12: &str = "from=2019-05-12T00:00:00Z&to=2019-05-13T00:00:00Z";

async fn world() -> World {
    World::of(&[
        start("ann", "a1", "2019-05-12T10:00:00Z", "sk"),
        start("bob", "b1", "2019-05-12T11:00:00.250Z", "SK"),
        end("bob", "b1", "2019-05-12T11:30:00Z"),
        start("cyd", "c1", "2019-05-12T11:00:00Z", "NA"),
        start("dan", "d1", "2019-04-01T00:00:00Z", "DE"),
    ])
    .await
}

#[tokio::test]
async fn starts_are_listed_by_country_newest_first_and_every_known_country_is_named() {
    assert_eq!(
        world().await.text(&format!("/v1/session-starts?{MAY_12}")).await,
        r#"{"from":"2019-05-12T00:00:00Z","to":"2019-05-13T00:00:00Z","countries":{"DE":[],"#
            .to_owned()
            + r#""NA":[{"user_id":"cyd","session_id":"c1","ts":"2019-05-12T11:00:00Z"}],"#
            + r#""SK":[{"user_id":"bob","session_id":"b1","ts":"2019-05-12T11:00:00.250Z"},"#
            + r#"{"user_id":"ann","session_id":"a1","ts":"2019-05-12T10:00:00Z"}]},"next":null}"#
    );
}

#[tokio::test]
async fn only_the_countries_asked_for_are_listed_each_spelled_as_the_events_spell_it() {
    let asked = format!("/v1/session-starts?{MAY_12}&country=%20n.a.&country=xx&country=NA");
    assert_eq!(
        world().await.text(&asked).await,
        r#"{"from":"2019-05-12T00:00:00Z","to":"2019-05-13T00:00:00Z","countries":{"#.to_owned()
            + r#""NA":[{"user_id":"cyd","session_id":"c1","ts":"2019-05-12T11:00:00Z"}],"XX":[]},"next":null}"#
    );
}

#[tokio::test]
async fn dirty_and_missing_countries_are_countries_of_their_own() {
    let world = World::of(&[
        start("u", "1", "2019-05-12T10:00:00Z", "(.uk)"),
        start("u", "2", "2019-05-12T10:00:00Z", "Code"),
        start("u", "3", "2019-05-12T10:00:00Z", ""),
    ])
    .await;
    let all = started(&[world.json("/v1/session-starts?days=2").await]);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["CODE", "UK", "ZZ"]);
    for (asked, id) in [("(.uk)", "1"), ("code", "2"), ("", "3")] {
        let one =
            started(&[world.json(&format!("/v1/session-starts?days=2&country={asked}")).await]);
        assert_eq!(one.into_values().collect::<Vec<_>>(), [[id]], "{asked}");
    }
}

#[tokio::test]
async fn a_window_is_half_open() {
    let world = world().await;
    let of = async |from: &str, to: &str| {
        let page = world.json(&format!("/v1/session-starts?country=SK&from={from}&to={to}")).await;
        started(&[page]).remove("SK").unwrap()
    };
    assert_eq!(of("2019-05-12T10:00:00Z", "2019-05-12T11:00:00.250Z").await, ["a1"]);
    assert_eq!(of("2019-05-12T10:00:00.001Z", "2019-05-12T11:00:00.251Z").await, ["b1"]);
    assert!(of("2019-05-12T10:00:00Z", "2019-05-12T10:00:00Z").await.is_empty());
}

#[tokio::test]
async fn a_start_stamped_slightly_ahead_is_in_the_last_hours_and_not_yet_in_a_window_that_ends_now()
{
    let world = World::of(&[start("u", "ahead", "2019-05-13T12:04:00Z", "SK")]).await;
    let hours = world.json("/v1/session-starts?hours=0.5").await;
    assert_eq!(started(std::slice::from_ref(&hours))["SK"], ["ahead"]);
    let [from, to] = ["from", "to"].map(|name| at(hours[name].as_str().unwrap()));
    assert_eq!(to - from, 35 * 60_000);
    assert!(to >= at("2019-05-13T12:05:00Z") && to < at("2019-05-13T12:06:00Z"));
    let until_now = world.json("/v1/session-starts?from=2019-05-13T11:30:00Z").await;
    assert!(started(&[until_now])["SK"].is_empty());
}

#[tokio::test]
async fn a_superseded_start_is_neither_listed_nor_counted() {
    let world = World::of(&[
        start("u", "s", "2019-05-12T11:00:00Z", "SK"),
        start("u", "s", "2019-05-12T10:00:00Z", "DE"),
    ])
    .await;
    let page = world.json(&format!("/v1/session-starts?{MAY_12}")).await;
    assert_eq!(page["countries"]["SK"], json!([]));
    assert_eq!(page["countries"]["DE"].as_array().unwrap().len(), 1);
    let counts = world.json(&format!("/v1/session-starts/counts?{MAY_12}")).await;
    assert_eq!(counts["countries"], json!({"DE": 1, "SK": 0}));
}

#[tokio::test]
async fn what_is_older_than_a_year_is_not_answered_although_the_store_holds_it() {
    let world = World::new();
    let old = [
        start("u", "old", "2018-05-13T11:59:59Z", "SK"),
        end("u", "old", "2019-05-12T00:00:00Z"),
        start("u", "gone", "2018-05-01T00:00:00Z", "FR"),
        end("u", "lost", "2018-05-13T11:59:59Z"),
        start("u", "young", "2018-05-13T13:00:00Z", "SK"),
    ];
    world.feed_at(&old, at("2019-05-01T00:00:00Z")).await;
    let page = world.json("/v1/session-starts?from=2018-01-01T00:00:00Z").await;
    assert_eq!(page["from"], "2018-01-01T00:00:00Z");
    assert_eq!(
        started(&[page]).into_iter().collect::<Vec<_>>(),
        [("SK".to_owned(), vec!["young".to_owned()])]
    );
    let counts = world
        .json("/v1/session-starts/counts?from=2018-01-01T00:00:00Z&country=SK&country=FR")
        .await;
    assert_eq!(counts["countries"], json!({"FR": 0, "SK": 1}));
    assert_eq!(world.json("/user/last-events?days=365").await["SK"].as_array().unwrap().len(), 1);
    for status in ["complete", "orphan"] {
        let listed = world.json(&format!("/v1/users/u/sessions?status={status}")).await;
        assert_eq!(listed["sessions"], json!([]), "{status}");
    }
    assert_eq!(world.error("/v1/users/u/sessions/old").await.0, 404);
    assert_eq!(world.json("/v1/users/u/sessions/young").await["status"], "open");
}

#[tokio::test]
async fn counts_are_numbers_alone_and_name_the_same_countries() {
    let world = world().await;
    assert_eq!(
        world.text(&format!("/v1/session-starts/counts?{MAY_12}")).await,
        r#"{"from":"2019-05-12T00:00:00Z","to":"2019-05-13T00:00:00Z","countries":{"DE":0,"NA":1,"SK":2},"next":null}"#
    );
    assert_eq!(
        world.text(&format!("/v1/session-starts/counts?{MAY_12}&country=sk&country=xx")).await,
        r#"{"from":"2019-05-12T00:00:00Z","to":"2019-05-13T00:00:00Z","countries":{"SK":2,"XX":0},"next":null}"#
    );
}

#[tokio::test]
async fn counts_over_many_days_are_summed() {
    assert_eq!(
        world().await.json("/v1/session-starts/counts?days=100").await["countries"]["DE"],
        1
    );
    let days = |day| start("u", &format!("s{day}"), &format!("2019-05-{day:02}T01:00:00Z"), "SK");
    let world = World::of(&(1..=9).map(days).collect::<Vec<_>>()).await;
    assert_eq!(
        world.json("/v1/session-starts/counts?days=100").await["countries"],
        json!({"SK": 9})
    );
}

#[tokio::test]
async fn a_series_has_the_slots_that_are_not_empty_each_by_its_beginning_in_utc() {
    let world = world().await;
    assert_eq!(
        world.text(&format!("/v1/session-starts/counts?{MAY_12}&step=hour")).await,
        r#"{"from":"2019-05-12T00:00:00Z","to":"2019-05-13T00:00:00Z","step":"hour","series":{"DE":[],"#
            .to_owned()
            + r#""NA":[{"ts":"2019-05-12T11:00:00Z","starts":1}],"#
            + r#""SK":[{"ts":"2019-05-12T10:00:00Z","starts":1},{"ts":"2019-05-12T11:00:00Z","starts":1}]},"next":null}"#
    );
    let days = "/v1/session-starts/counts?from=2019-05-12T10:30:00Z&to=2019-05-13T00:00:00Z&step=day&country=SK";
    assert_eq!(
        world.text(days).await,
        r#"{"from":"2019-05-12T10:30:00Z","to":"2019-05-13T00:00:00Z","step":"day","series":{"#
            .to_owned()
            + r#""SK":[{"ts":"2019-05-12T00:00:00Z","starts":1}]},"next":null}"#
    );
    let minutes = "/v1/session-starts/counts?from=2019-05-12T10:59:59.999Z&to=2019-05-12T11:00:00.250Z&step=minute";
    assert_eq!(
        world.json(minutes).await["series"],
        json!({"DE": [], "NA": [{"ts": "2019-05-12T11:00:00Z", "starts": 1}], "SK": []})
    );
}

/// The five minutes after now do not count.
#[tokio::test]
async fn two_days_are_counted_by_minute() {
    let world = world().await;
    for query in ["days=2", "hours=48", "from=2019-05-11T00:00:00Z&to=2019-05-13T00:00:00Z"] {
        let path = format!("/v1/session-starts/counts?{query}&step=minute");
        assert_eq!(world.json(&path).await["step"], "minute", "{query}");
    }
}

#[tokio::test]
async fn the_last_events_are_the_bare_object() {
    let world = world().await;
    assert_eq!(
        world.text("/user/last-events?days=2").await,
        r#"{"DE":[],"NA":[{"user_id":"cyd","session_id":"c1","ts":"2019-05-12T11:00:00Z"}],"#
            .to_owned()
            + r#""SK":[{"user_id":"bob","session_id":"b1","ts":"2019-05-12T11:00:00.250Z"},"#
            + r#"{"user_id":"ann","session_id":"a1","ts":"2019-05-12T10:00:00Z"}]}"#
    );
    let hours = world.json("/user/last-events?hours=25.5").await;
    assert_eq!(hours, json!({"DE": [], "NA": hours["NA"], "SK": hours["SK"]}));
    assert_eq!(hours["SK"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_store_has_no_countries() {
    let world = World::new();
    assert_eq!(world.text("/user/last-events?days=1").await, "{}");
    assert_eq!(world.json("/v1/session-starts?days=1").await["countries"], json!({}));
    assert_eq!(world.json("/v1/session-starts/counts?days=1&step=day").await["series"], json!({}));
}
