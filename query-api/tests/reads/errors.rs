//! The mistakes that a client can make, and the error for each.

use query_api::QueryOptions;

use crate::world::{World, at, error, start};

const STARTS: &str = "/v1/session-starts";

#[tokio::test]
async fn every_wrong_parameter_is_a_400_with_its_code() {
    let world = World::new();
    let long = "x".repeat(129);
    let cases = [
        (format!("{STARTS}?day=1"), "unknown_parameter"),
        (format!("{STARTS}?days=1&user_id=u"), "unknown_parameter"),
        (format!("{STARTS}?days=1&days=2"), "repeated_parameter"),
        (format!("{STARTS}?days=1&limit=1&limit=1"), "repeated_parameter"),
        (format!("{STARTS}?days=%zz"), "invalid_query"),
        (format!("{STARTS}?days=1&country=%FF"), "invalid_query"),
        (STARTS.to_owned(), "missing_window"),
        (format!("{STARTS}?country=SK"), "missing_window"),
        (format!("{STARTS}?days=1&hours=1"), "invalid_window"),
        (format!("{STARTS}?days=0"), "invalid_window"),
        (format!("{STARTS}?days=366"), "invalid_window"),
        (format!("{STARTS}?hours=-1"), "invalid_window"),
        (format!("{STARTS}?to=2019-05-12T00:00:00Z"), "invalid_window"),
        (format!("{STARTS}?from=yesterday"), "invalid_window"),
        (format!("{STARTS}?from=2019-05-12T00:00:00Z&to=2019-05-11T00:00:00Z"), "invalid_window"),
        (format!("{STARTS}?from=2019-05-14T00:00:00Z"), "invalid_window"),
        (format!("{STARTS}?days=1&limit=0"), "invalid_limit"),
        (format!("{STARTS}?days=1&limit=10001"), "invalid_limit"),
        (format!("{STARTS}?days=1&cursor=nonsense"), "invalid_cursor"),
        (format!("{STARTS}/counts"), "missing_window"),
        (format!("{STARTS}/counts?days=1&step=week"), "invalid_step"),
        (format!("{STARTS}/counts?days=2.01&step=minute"), "invalid_step"),
        (
            format!(
                "{STARTS}/counts?from=2019-05-11T00:00:00Z&to=2019-05-13T00:00:00.001Z&step=minute"
            ),
            "invalid_step",
        ),
        (format!("{STARTS}/counts?days=1&limit=5"), "unknown_parameter"),
        ("/v1/users/u/sessions?status=closed".to_owned(), "invalid_status"),
        ("/v1/users/u/sessions?limit=101".to_owned(), "invalid_limit"),
        ("/v1/users/u/sessions?cursor=".to_owned(), "invalid_cursor"),
        ("/v1/users/u/sessions?days=1".to_owned(), "unknown_parameter"),
        ("/v1/users//sessions".to_owned(), "invalid_user_id"),
        ("/v1/users/null/sessions".to_owned(), "invalid_user_id"),
        ("/v1/users/%00/sessions".to_owned(), "invalid_user_id"),
        ("/v1/users/%F0%9F/sessions".to_owned(), "invalid_user_id"),
        ("/v1/users/%4/sessions".to_owned(), "invalid_user_id"),
        (format!("/v1/users/{long}/sessions"), "invalid_user_id"),
        ("/v1/users//sessions/s".to_owned(), "invalid_user_id"),
        ("/v1/users/u/sessions/".to_owned(), "invalid_session_id"),
        (format!("/v1/users/u/sessions/{long}"), "invalid_session_id"),
        ("/v1/users/u/sessions/s?limit=1".to_owned(), "unknown_parameter"),
        ("/user/last-events".to_owned(), "missing_window"),
        ("/user/last-events?days=1&hours=1".to_owned(), "invalid_window"),
        ("/user/last-events?days=x".to_owned(), "invalid_window"),
        ("/user/last-events?from=2019-05-12T00:00:00Z".to_owned(), "missing_window"),
        ("/user/last-events?days=1&days=1".to_owned(), "repeated_parameter"),
        ("/user/last-events?days=%FF".to_owned(), "invalid_query"),
        ("/user/last-sessions-user".to_owned(), "missing_user_id"),
        ("/user/last-sessions-user?user_id=".to_owned(), "invalid_user_id"),
        ("/user/last-sessions-user?user_id=u&player_id=u".to_owned(), "conflicting_user_id"),
    ];
    all_are_400(&world, cases).await;
}

async fn all_are_400(world: &World, cases: impl IntoIterator<Item = (String, &'static str)>) {
    for (path, code) in cases {
        let (status, found, message) = world.error(&path).await;
        assert_eq!((status, found.as_str()), (400, code), "{path}: {message}");
        assert!(!message.is_empty() && !message.ends_with('.'), "{path}: {message}");
    }
}

#[tokio::test]
async fn every_wrong_parameter_of_a_twin_is_a_400_with_its_code() {
    let cases = [
        ("/v1/sessions?status=open", "missing_user_id"),
        ("/v1/sessions?user_id=", "invalid_user_id"),
        ("/v1/sessions?user_id=null", "invalid_user_id"),
        ("/v1/sessions?user_id=u&user_id=u", "repeated_parameter"),
        ("/v1/sessions?user_id=u&player_id=u", "unknown_parameter"),
        ("/v1/sessions?user_id=u&status=closed", "invalid_status"),
        ("/v1/sessions?user_id=u&limit=101", "invalid_limit"),
        ("/v1/sessions?user_id=u&cursor=x", "invalid_cursor"),
        ("/v1/session?session_id=s", "missing_user_id"),
        ("/v1/session?user_id=u", "missing_session_id"),
        ("/v1/session?user_id=u&session_id=", "invalid_session_id"),
        ("/v1/session?user_id=u&session_id=s&limit=1", "unknown_parameter"),
    ];
    let cases = cases.map(|(path, code)| (path.to_owned(), code));
    all_are_400(&World::new(), cases).await;
}

#[tokio::test]
async fn the_older_calls_and_the_pages_ignore_parameters_that_they_do_not_know() {
    let world = World::of(&[start("u", "s", "2019-05-12T10:00:00Z", "SK")]).await;
    for path in [
        "/user/last-events?days=170&_=1",
        "/user/last-events?x=%FF&hours=1",
        "/user/last-sessions-user?user_id=u&format=json",
        "/?utm_source=mail",
        "/dashboard?utm_source=mail",
        "/docs/page.css?v=2",
    ] {
        assert_eq!(world.reply(path).await.status(), 200, "{path}");
    }
    let body = r#"{"player_id":"u"}"#;
    let reply = warp::test::request().path("/?_=1&user_id=v").body(body).reply(&world.routes).await;
    assert_eq!((reply.status().as_u16(), &reply.body()[..]), (200, &b"[]"[..]));
}

#[tokio::test]
async fn an_error_says_what_would_be_right() {
    let world = World::new();
    let message = async |path: &str| world.error(path).await.2;
    assert_eq!(
        message(&format!("{STARTS}?day=1")).await,
        "unknown parameter `day`; this call supports `days`, `hours`, `from`, `to`, `country`, \
         `limit`, `cursor`"
    );
    assert_eq!(
        message(STARTS).await,
        "the time range is missing; give days=1, or hours=1.5, or \
         from=2019-05-12T00:00:00Z&to=2019-05-13T00:00:00Z"
    );
    assert_eq!(
        message("/user/last-events").await,
        "the time range is missing; give days=1, or hours=1.5"
    );
    assert_eq!(
        message("/user/last-sessions-user").await,
        "`user_id` is missing; give user_id=d6313e1f"
    );
    assert_eq!(
        message("/v1/users/u/sessions?limit=x").await,
        "`limit` must be a whole number from 1 to 100"
    );
    assert_eq!(
        message("/v1/users/u/sessions/s?a=b").await,
        "unknown parameter `a`; this call supports no parameters"
    );
}

#[tokio::test]
async fn a_body_that_names_no_user_is_refused() {
    let world = World::new();
    let long = format!(r#"{{"user_id":"u","more":"{}"}}"#, "x".repeat(9_000));
    let cases = [
        ("{}", 400, "missing_user_id"),
        (r#"{"user_id":null}"#, 400, "missing_user_id"),
        (r#"{"user_id":"u","player_id":"u"}"#, 400, "conflicting_user_id"),
        (r#"{"user_id":"null"}"#, 400, "invalid_user_id"),
        (r#"{"user_id":""}"#, 400, "invalid_user_id"),
        (r#"{"user_id":5}"#, 400, "invalid_body"),
        (r#"{"user_id":"u","user_id":"v"}"#, 400, "invalid_body"),
        (r#"["u"]"#, 400, "invalid_body"),
        (r#"["u",null]"#, 400, "invalid_body"),
        ("u", 400, "invalid_body"),
        ("{\"user_id\":\"u\"", 400, "invalid_body"),
        (&long, 413, "body_too_large"),
    ];
    for (body, status, code) in cases {
        let (found, text) = world.root(body).await;
        let (found, found_code, _) = error(found, text.as_bytes());
        assert_eq!((found, found_code.as_str()), (status, code), "{body}");
    }
}

#[tokio::test]
async fn a_session_of_which_nothing_is_known_is_a_404() {
    let world = World::of(&[start("u", "s", "2019-05-12T10:00:00Z", "SK")]).await;
    for path in ["/v1/users/u/sessions/other", "/v1/users/other/sessions/s"] {
        let (status, code, _) = world.error(path).await;
        assert_eq!((status, code.as_str()), (404, "unknown_session"), "{path}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_question_is_refused() {
    let world = World::new();
    let days =
        [1, 2, 3].map(|n| start("u", &format!("s{n}"), &format!("2019-05-1{n}T10:00:00Z"), "SK"));
    world.feed(&days).await;
    let page = world.json(&format!("{STARTS}?days=9&country=SK&limit=1")).await;
    let cursor = page["next"].as_str().unwrap();
    assert_eq!(
        world
            .reply(&format!("{STARTS}?country=sk&days=9.0&limit=2&cursor={cursor}"))
            .await
            .status(),
        200
    );
    let open = world.json("/v1/users/u/sessions?status=open&limit=1").await;
    let open = open["next"].as_str().unwrap();
    assert_eq!(
        world.reply(&format!("/v1/users/u/sessions?status=open&cursor={open}")).await.status(),
        200
    );
    let others = [
        format!("{STARTS}?days=8&country=SK&cursor={cursor}"),
        format!("{STARTS}?days=9&cursor={cursor}"),
        format!("{STARTS}?days=9&country=SK&country=DE&cursor={cursor}"),
        format!("{STARTS}?days=9&country=SK&cursor={open}"),
        format!("/v1/users/u/sessions?status=open&cursor={cursor}"),
        format!("/v1/users/u/sessions?status=orphan&cursor={open}"),
        format!("/v1/users/u/sessions?cursor={open}"),
        format!("/v1/users/v/sessions?status=open&cursor={open}"),
        format!("/v1/users/u/sessions?status=open&cursor={}", &open[1..]),
    ];
    for other in others {
        assert_eq!(world.error(&other).await.1, "invalid_cursor", "{other}");
    }
    assert_eq!(
        world.error(&format!("{STARTS}?country=SK&cursor={cursor}")).await.1,
        "missing_window"
    );
}

#[tokio::test]
async fn another_path_is_404_and_another_method_is_405_with_those_that_are_supported() {
    let world = World::new();
    let ask = async |method: &str, path: &str| {
        warp::test::request().method(method).path(path).reply(&world.routes).await
    };
    for path in ["/nothing", "/metrics", "/v1", "/docs", "/v1/events", "/v1/session-starts/"] {
        let reply = ask("GET", path).await;
        let (status, code, _) = error(reply.status().as_u16(), reply.body());
        assert_eq!((status, code.as_str()), (404, "not_found"), "{path}");
    }
    for path in ["/v1/users/a", "/v1/users/a/b/sessions", "/v1/users/a/sessions/b/c"] {
        assert_eq!(ask("GET", path).await.status(), 404, "{path}");
    }
    for path in ["/", STARTS, "/v1/users/u/sessions", "/v1/users/a/sessions/b", "/docs/page.css"] {
        for method in ["POST", "DELETE", "TRACE"] {
            let reply = ask(method, path).await;
            assert_eq!(reply.headers()["allow"], "GET, HEAD", "{method} {path}");
            let (status, code, _) = error(reply.status().as_u16(), reply.body());
            assert_eq!((status, code.as_str()), (405, "method_not_allowed"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn one_uncut_reply_too_many_is_a_503_that_says_when_to_come_again() {
    let world = World::with(QueryOptions { streams: 0, ..QueryOptions::default() });
    for path in ["/user/last-events?days=1", "/v1/session-starts/counts?days=1&step=day"] {
        let reply = world.reply(path).await;
        assert_eq!(reply.headers()["retry-after"], "1", "{path}");
        assert_eq!(error(reply.status().as_u16(), reply.body()).1, "busy", "{path}");
    }
}

#[tokio::test]
async fn a_query_whose_turn_does_not_come_in_time_is_a_503_that_says_when_to_come_again() {
    // The others must be answered within it, on a busy machine too.
    let deadline = std::time::Duration::from_millis(500);
    let (points, ranges) = (
        ["/v1/users/u/sessions", "/v1/users/u/sessions/s", "/user/last-sessions-user?user_id=u"],
        [
            "/v1/session-starts?days=1",
            "/user/last-events?days=1",
            "/v1/users/u/sessions?status=open",
        ],
    );
    let without_points = QueryOptions { points: 0, deadline, ..QueryOptions::default() };
    let without_ranges = QueryOptions { ranges: 0, deadline, ..QueryOptions::default() };
    for (options, refused, answered) in
        [(without_points, points, ranges), (without_ranges, ranges, points)]
    {
        let world = World::with(options);
        for path in refused {
            let reply = world.reply(path).await;
            assert_eq!(reply.headers()["retry-after"], "1", "{path}");
            let (status, code, message) = error(reply.status().as_u16(), reply.body());
            assert_eq!((status, code.as_str()), (503, "busy"), "{path}");
            assert!(message.starts_with("too many queries"), "{path}: {message}");
        }
        // The others have permits of their own.
        for path in answered {
            assert_ne!(world.reply(path).await.status(), 503, "{path}");
        }
    }
}

#[tokio::test]
async fn the_turn_of_an_uncut_reply_is_free_again_after_it() {
    let world = World::with(QueryOptions { streams: 1, ..QueryOptions::default() });
    for _ in 0..3 {
        assert_eq!(world.text("/user/last-events?days=1").await, "{}");
    }
}

#[tokio::test]
async fn the_tolerance_for_clocks_that_run_ahead_is_configured() {
    let world = World::with(QueryOptions { future_tolerance_ms: 0, ..QueryOptions::default() });
    let page = world.json("/v1/session-starts?hours=1").await;
    assert_eq!(at(page["to"].as_str().unwrap()) - at(page["from"].as_str().unwrap()), 3_600_000);
}
