//! The dashboard over HTTP: its files, their headers, and its metrics.

use warp::http::StatusCode;

use crate::world::World;

#[tokio::test]
async fn the_page_and_its_files_are_served_with_their_types() {
    let world = World::new();
    for (path, kind) in [
        ("/dashboard", "text/html; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/main.js", "text/javascript; charset=utf-8"),
        ("/dashboard/icon.svg", "image/svg+xml"),
        ("/dashboard/uplot/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
        ("/dashboard/uplot/LICENSE", "text/plain; charset=utf-8"),
    ] {
        let reply = world.reply(path).await;
        assert_eq!(
            (reply.status(), &reply.headers()["content-type"]),
            (StatusCode::OK, &kind.parse().unwrap())
        );
        assert!(!reply.body().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_browser_is_told_to_take_nothing_from_elsewhere_and_to_ask_before_it_shows_an_old_page() {
    let world = World::new();
    let reply = world.reply("/dashboard").await;
    let header = |name: &str| reply.headers()[name].to_str().unwrap();
    assert!(header("content-security-policy").starts_with("default-src 'self'; "));
    for lax in ["unsafe-inline", "unsafe-eval", "*", "http:", "data:"] {
        assert!(!header("content-security-policy").contains(lax), "{lax}");
    }
    assert_eq!(
        (header("x-content-type-options"), header("cache-control")),
        ("nosniff", "no-cache")
    );
    let again = warp::test::request().path("/dashboard").header("if-none-match", header("etag"));
    let again = again.reply(&world.routes).await;
    assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
    let changed = warp::test::request().path("/dashboard").header("if-none-match", "\"0\"");
    assert_eq!(changed.reply(&world.routes).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_page_and_other_names_to_nothing() {
    let world = World::new();
    let reply = world.reply("/dashboard/").await;
    assert_eq!(
        (reply.status(), &reply.headers()["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"../dashboard".parse().unwrap())
    );
    for path in
        ["/dashboard/index.html", "/dashboard/../dashboard", "/dashboard/uplot", "/dashboards"]
    {
        assert_eq!(world.reply(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_page_takes_get_and_head_and_is_one_route_in_the_metrics() {
    let world = World::new();
    for path in ["/dashboard", "/dashboard/main.js", "/dashboard/"] {
        let post = warp::test::request().method("POST").path(path).reply(&world.routes).await;
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(post.headers()["allow"], "GET, HEAD", "{path}");
    }
    let head = warp::test::request().method("HEAD").path("/dashboard").reply(&world.routes).await;
    assert_eq!(head.status(), StatusCode::OK);
    world.reply("/dashboard/main.js").await;
    let counted = r#"bookend_query_requests_total{key="none",route="/dashboard",status="200"} 2"#;
    assert!(world.metrics().contains(counted), "{}", world.metrics());
}
