//! Replies that are compressed for clients that ask for it.

use std::io::{ErrorKind, Read};

use async_stream::stream;
use hyper::body::Bytes;
use warp::http::{HeaderValue, StatusCode, header};

use super::*;

const JSON: &str = "application/json";
/// The header `Vary` of a reply that may be compressed.
const VARIES: &str = "accept-encoding, origin";

/// A reply with a body of this `kind`.
fn typed(mut reply: Response, kind: &'static str) -> Response {
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

fn serving(text: String, kind: &'static str) -> Router {
    at_hello(move || std::future::ready(typed(text.clone().into_response(), kind)))
}

/// A JSON text of this length.
fn json(length: usize) -> String {
    format!("\"{}\"", "country ".repeat(length)[..length - 2].to_owned())
}

fn accepting(method: &str, encodings: &str) -> Vec<u8> {
    request(method, "/hello", &[&format!("accept-encoding: {encodings}")], "")
}

/// As much of the text as these compressed bytes hold.
fn decoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoder: Box<dyn Read + '_> = match encoding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        _ => panic!("{encoding}"),
    };
    let (mut text, mut byte) = (Vec::new(), [0]);
    loop {
        match decoder.read(&mut byte) {
            Ok(0) => return text,
            Ok(_) => text.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return text,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_reply_is_compressed_as_the_client_prefers() {
    let text = json(5_000);
    let server = Server::start(serving(text.clone(), JSON), ServeOptions::default()).await;
    for (accepted, encoding) in [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip;q=0.5, zstd;q=0.4", Some("gzip")),
        ("GZIP;q=0.001", Some("gzip")),
        ("gzip;q=0.3, identity;q=0.9", None),
        ("gzip;q=0, zstd;q=0.0", None),
        ("br, deflate", None),
        ("identity", None),
        ("", None),
    ] {
        let reply = ask(server.address, accepting("GET", accepted)).await;
        assert_eq!(reply.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(reply.header("vary"), Some(VARIES), "{accepted}");
        assert_eq!(reply.header("content-type"), Some(JSON));
        let body = encoding.map(|encoding| decoded(encoding, &reply.body));
        assert!(body.is_none() || reply.body.len() < 500, "{accepted}: {}", reply.body.len());
        assert_eq!(body.unwrap_or(reply.body), text.as_bytes(), "{accepted}");
    }
    let plain = ask(server.address, bare("GET", "/hello")).await;
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, text.as_str()));
}

#[tokio::test]
async fn only_texts_from_a_kibibyte_on_are_compressed() {
    for (length, kind, encoding) in [
        (1_024, JSON, Some("gzip")),
        (1_023, JSON, None),
        (5_000, "text/html; charset=utf-8", Some("gzip")),
        (5_000, "text/javascript; charset=utf-8", Some("gzip")),
        (5_000, "text/plain; version=0.0.4", Some("gzip")),
        (5_000, "image/svg+xml", Some("gzip")),
        (5_000, "image/png", None),
    ] {
        let server = Server::start(serving(json(length), kind), ServeOptions::default()).await;
        let reply = ask(server.address, accepting("GET", "gzip")).await;
        assert_eq!(reply.header("content-encoding"), encoding, "{length} bytes of {kind}");
        let varies = if kind == "image/png" { "origin" } else { VARIES };
        assert_eq!(reply.header("vary"), Some(varies), "{length} bytes of {kind}");
    }
}

#[tokio::test]
async fn a_reply_that_has_no_body_stays_without_one() {
    let text = json(5_000);
    let router = on_request(move |request| {
        let mut reply = typed(text.clone().into_response(), JSON);
        if request.query == "204" || request.query == "304" {
            reply = typed("".into_response(), JSON);
            *reply.status_mut() = StatusCode::from_bytes(request.query.as_bytes()).unwrap();
        }
        std::future::ready(reply)
    });
    let server = Server::start(router, ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    for (method, query, status) in [("HEAD", "", 200), ("GET", "204", 204), ("GET", "304", 304)] {
        let path = format!("/hello?{query}");
        connection.send(request(method, &path, &["accept-encoding: gzip"], "")).await;
        let reply = connection.reply_to_head().await.unwrap();
        assert_eq!((reply.status, reply.header("vary")), (status, Some(VARIES)));
        // The next reply comes right after the headers of this one.
        connection.send(accepting("GET", "gzip")).await;
        assert_eq!(connection.reply().await.unwrap().header("content-encoding"), Some("gzip"));
    }
}

/// A reply of two parts; before the second one it waits for `free`, and then it may fail.
fn in_parts(free: &Arc<Notify>, fails: bool) -> Router {
    let free = Arc::clone(free);
    at_hello(move || {
        let free = Arc::clone(&free);
        let parts = stream! {
            yield Ok(Bytes::from_static(b"[1,"));
            free.notified().await;
            yield if fails { Err(std::fmt::Error) } else { Ok(Bytes::from_static(b"2]")) };
        };
        std::future::ready(typed(warp::reply::stream(parts).into_response(), JSON))
    })
}

#[tokio::test]
async fn what_a_stream_has_arrives_before_the_rest_of_it() {
    for encoding in ["gzip", "zstd"] {
        let free = Arc::new(Notify::new());
        let server = Server::start(in_parts(&free, false), ServeOptions::default()).await;
        let mut connection = Connection::open(server.address).await;
        connection.send(accepting("GET", encoding)).await;
        let head = connection.head().await.unwrap();
        assert_eq!(head.header("content-encoding"), Some(encoding));
        let mut bytes = Vec::new();
        while decoded(encoding, &bytes) != b"[1," {
            bytes.extend(connection.chunk().await.unwrap());
        }
        free.notify_one();
        bytes.extend(connection.body(&head).await.unwrap());
        assert_eq!(decoded(encoding, &bytes), b"[1,2]");
    }
}

#[tokio::test]
async fn a_compressed_stream_that_fails_ends_without_its_last_chunk() {
    for encoding in ["gzip", "zstd"] {
        let free = Arc::new(Notify::new());
        let server = Server::start(in_parts(&free, true), ServeOptions::default()).await;
        let mut connection = Connection::open(server.address).await;
        connection.send(accepting("GET", encoding)).await;
        let head = connection.head().await.unwrap();
        assert!(!connection.chunk().await.unwrap().is_empty());
        free.notify_one();
        assert_eq!(connection.body(&head).await, None);
    }
}

#[tokio::test]
async fn so_many_replies_are_compressed_at_a_time_and_more_are_sent_plain() {
    let free = Arc::new(Notify::new());
    let server = Server::start(in_parts(&free, false), ServeOptions::default()).await;
    let mut connections = Vec::new();
    for number in 0..33 {
        let mut connection = Connection::open(server.address).await;
        connection.send(accepting("GET", "zstd")).await;
        let head = connection.head().await.unwrap();
        let encoding = (number < 32).then_some("zstd");
        assert_eq!(head.header("content-encoding"), encoding, "{number}");
        connections.push((connection, head));
    }
    free.notify_waiters();
    for (connection, head) in &mut connections {
        assert!(connection.body(head).await.is_some());
    }
    free.notify_one();
    assert_eq!(
        ask(server.address, accepting("GET", "zstd")).await.header("content-encoding"),
        Some("zstd")
    );
}
