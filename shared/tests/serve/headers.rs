//! The headers of every reply, and the ids of requests.

use shared::{access::Keys, http::Gate};
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

const ORIGIN: &str = "https://game.example";
const ASKS: &str = "access-control-request-method: GET";

/// A gate that allows pages of [`ORIGIN`], and no others, without keys.
fn open() -> Gate {
    Gate::default().with_origins(vec![ORIGIN.parse().unwrap()])
}

/// A gate that allows pages of [`ORIGIN`], and no others, because a key does.
fn with_keys() -> Gate {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    let hash = "0".repeat(64);
    let key = format!("[[key]]\nid = \"web\"\nsha256 = \"{hash}\"\nrights = [\"read\"]\n");
    std::fs::write(&file, key + &format!("origins = [\"{ORIGIN}\"]\n")).unwrap();
    Gate::default().with_keys(Arc::new(Keys::open(&file).unwrap()))
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_requests_and_read_every_reply() {
    let own = format!("origin: {ORIGIN}");
    for (gate, metrics) in [(open(), 200), (with_keys(), 401)] {
        let server = Server::start(router().behind(Arc::new(gate)), ServeOptions::default()).await;
        let mut connection = Connection::open(server.address).await;
        for (method, path, status) in [
            ("OPTIONS", "/hello", 204),
            ("GET", "/hello?200", 200),
            ("GET", "/hello?304", 304),
            ("GET", "/hello?503", 503),
            ("GET", "/nothing", 404),
            ("OPTIONS", "/nothing", 404),
            ("PATCH", "/hello", 405),
            ("GET", "/metrics", metrics),
        ] {
            connection.send(request(method, path, &[&own, ASKS], "")).await;
            let reply = match status {
                204 | 304 => connection.reply_to_head().await,
                _ => connection.reply().await,
            };
            let reply = reply.unwrap();
            assert_eq!(reply.status, status, "{method} {path}");
            let allowed = reply.header("access-control-allow-origin");
            assert_eq!(allowed, Some(ORIGIN), "{method} {path}");
            assert_complete(&reply);
        }
        let preflight = ask(server.address, request("OPTIONS", "/hello", &[&own, ASKS], "")).await;
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_reads_no_reply() {
    let foreign = "origin: https://evil.example";
    for (gate, options, get) in [(open(), 403, 403), (with_keys(), 204, 200)] {
        let server = Server::start(router().behind(Arc::new(gate)), ServeOptions::default()).await;
        for (method, status) in [("OPTIONS", options), ("GET", get)] {
            let sent = request(method, "/hello?200", &[foreign, ASKS], "");
            let reply = ask(server.address, sent).await;
            assert_eq!(reply.status, status, "{method}");
            let allowing = |(name, _): &&(String, String)| name.starts_with("access-control");
            assert_eq!(reply.headers.iter().find(allowing), None, "{method}");
            assert_complete(&reply);
        }
    }
}
