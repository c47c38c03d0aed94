//! The headers of every reply, and the ids of requests.

use test_support::connection::Reply;
use warp::http::StatusCode;

use super::*;

/// Panics if a header that every reply has is missing.
pub(crate) fn assert_complete(reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{reply:?}");
    assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{reply:?}");
    assert!(reply.header("vary").is_some_and(|varies| varies.contains("origin")), "{reply:?}");
    // Neither a server nor a version, and nothing about TLS without TLS.
    assert_eq!(reply.header("server"), None);
    assert_eq!(reply.header("strict-transport-security"), None);
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

/// A router with probes and with `/hello`, which replies with the status of its query.
fn router() -> Router {
    let answer = |_, request: Request| async move {
        let mut reply = "".into_response();
        *reply.status_mut() = StatusCode::from_bytes(request.query.as_bytes()).unwrap();
        reply
    };
    reporting(Err("down".to_owned()))
        .with(&Arc::new(()), vec![Route::get("/hello", Access::Public, answer)])
}

#[tokio::test]
async fn every_reply_has_the_headers_of_every_reply() {
    let server = Server::start(router(), ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    for (method, path, status) in [
        ("GET", "/hello?200", 200),
        ("HEAD", "/hello?200", 200),
        ("GET", "/hello?304", 304),
        ("GET", "/hello?500", 500),
        ("GET", "/nothing", 404),
        ("DELETE", "/hello", 405),
        ("OPTIONS", "/hello", 204),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 503),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
    ] {
        connection.send(bare(method, path)).await;
        let reply = match (method, status) {
            ("HEAD", _) | (_, 204 | 304) => connection.reply_to_head().await,
            _ => connection.reply().await,
        };
        let reply = reply.unwrap();
        assert_eq!(reply.status, status, "{method} {path}");
        assert_complete(&reply);
    }
}

#[tokio::test]
async fn a_handler_knows_the_id_that_the_reply_has() {
    let router = on_request(async |request| request.id.to_string().into_response());
    let server = Server::start(router, ServeOptions::default()).await;
    for (given, kept) in [("x-request-id: d6313e1f-1", true), ("x-request-id: a b", false)] {
        let reply = ask(server.address, request("GET", "/hello", &[given], "")).await;
        assert_eq!(reply.header("x-request-id"), Some(reply.text()));
        assert_eq!(given.ends_with(reply.text()), kept, "{given}: {}", reply.text());
    }
}
