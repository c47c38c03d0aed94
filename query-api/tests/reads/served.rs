//! Over real HTTP: chunked replies, HEAD, the pages, the metrics, and queries of many countries.

use std::{
    future::pending,
    io::Read,
    net::SocketAddr,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use shared::http::{self, DrainEnd, ServeOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::world::{World, end, start, started};

/// Serves `world` over HTTP.
async fn serve(world: &World) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (routes, options) = (world.routes.clone(), ServeOptions::default());
    let server = http::serve(listener, routes, options, pending::<DrainEnd>());
    (address, tokio::spawn(server))
}

/// The head and the body of a reply, as they arrive.
async fn wire(world: &World, request: &str) -> (String, Vec<u8>) {
    let (address, server) = serve(world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    server.abort();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let body = bytes.split_off(head + 4);
    (String::from_utf8(bytes).unwrap().to_lowercase(), body)
}

/// The chunks of a chunked body, which must be complete.
fn chunks(mut body: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        let (chunk, rest) = body[line + 2..].split_at(length);
        body = rest.strip_prefix(b"\r\n").unwrap();
        if length == 0 {
            assert!(body.is_empty());
            return chunks;
        }
        chunks.push(chunk);
    }
}

#[tokio::test]
async fn an_uncut_reply_of_more_than_100_000_starts_is_sent_whole_in_small_chunks() {
    let world = World::new();
    let session = |n: u32| {
        start(
            "some-user",
            &format!("session-{n:06}"),
            "2019-05-12T10:00:00Z",
            ["SK", "DE"][n as usize / 90_000],
        )
    };
    world.feed_starts((0..110_000).map(session)).await;
    world
        .feed(&[
            start("u", "1", "2019-01-01T10:00:00Z", "AT"),
            start("u", "2", "2019-05-12T10:00:00Z", "ZZ"),
        ])
        .await;
    let (head, body) = wire(&world, "GET /user/last-events?days=2 HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(
        head.contains("transfer-encoding: chunked")
            && head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    let chunks = chunks(&body);
    assert!(chunks.len() > 100, "{}", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() < 64 << 10));
    let all: Value = serde_json::from_slice(&chunks.concat()).unwrap();
    let sizes = ["AT", "DE", "SK", "ZZ"].map(|country| all[country].as_array().unwrap().len());
    assert_eq!((sizes, all.as_object().unwrap().len()), ([0, 20_000, 90_000, 1], 4));
    let ids = all["SK"]
        .as_array()
        .unwrap()
        .iter()
        .map(|start| start["session_id"].as_str().unwrap().to_owned());
    assert!(ids.eq((0..90_000).map(|n| format!("session-{n:06}"))));
}

#[tokio::test]
async fn replies_are_compressed_for_a_client_that_asks_streams_too() {
    let world = World::new();
    let session = |n: u32| start("user", &format!("session-{n}"), "2019-05-12T10:00:00Z", "SK");
    world.feed_starts((0..1_000).map(session)).await;
    for path in [
        "/user/last-events?days=30",
        "/v1/session-starts?days=30",
        "/v1/session-starts/counts?days=30&step=hour",
    ] {
        let (head, plain) = wire(&world, &format!("GET {path} HTTP/1.1")).await;
        assert!(head.contains("vary: accept-encoding, origin\r\n"), "{path}: {head}");
        assert!(!head.contains("content-encoding"), "{path}: {head}");
        let asked = format!("GET {path} HTTP/1.1\r\naccept-encoding: gzip");
        let (head, body) = wire(&world, &asked).await;
        assert!(head.contains("content-encoding: gzip\r\n"), "{path}: {head}");
        let (length, before) = (body.len(), plain.len());
        assert!(length < before / 3 || before < 1_024, "{path}: {length} of {before} bytes");
        let mut text = String::new();
        GzDecoder::new(&chunks(&body).concat()[..]).read_to_string(&mut text).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        assert!(all.is_object(), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_head_request_is_answered_like_a_get_without_the_body() {
    let world = World::of(&[start("u", "s", "2019-05-12T10:00:00Z", "SK")]).await;
    for path in ["/user/last-events?days=2", "/v1/session-starts?days=2", "/v1/users/u/sessions"] {
        let (head, body) = wire(&world, &format!("HEAD {path} HTTP/1.1")).await;
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{path}: {head}");
        assert!(head.contains("content-type: application/json\r\n"), "{path}: {head}");
        assert!(body.is_empty(), "{path}");
    }
    let (head, body) = wire(&world, "HEAD /v1/session-starts HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    assert!(body.is_empty());
    assert!(!world.metrics().contains(r#"status="aborted""#), "{}", world.metrics());
}

#[tokio::test]
async fn an_encoded_id_comes_through_a_real_request_line() {
    let world = World::of(&[start("a/b 🍋", "s/1", "2019-05-12T10:00:00Z", "SK")]).await;
    let (head, body) =
        wire(&world, "GET /v1/users/a%2Fb%20%F0%9F%8D%8B/sessions/s%2F1 HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    let reply: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&reply["user_id"], &reply["session_id"]), (&json!("a/b 🍋"), &json!("s/1")));
}

#[tokio::test]
async fn a_get_with_a_body_is_answered_for_the_user_it_names() {
    let world = World::of(&[
        start("u", "s", "2019-05-12T10:00:00Z", "SK"),
        end("u", "s", "2019-05-12T10:00:01Z"),
    ])
    .await;
    let body = r#"{"player_id": "u"}"#;
    let request = format!(
        "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0",
        body.len()
    );
    // The headers that `wire` adds are the trailer of this chunked body.
    let (_, reply) =
        wire(&world, &request.replacen("\r\n\r\n", "\r\nhost: x\r\nconnection: close\r\n\r\n", 1))
            .await;
    assert_eq!(serde_json::from_slice::<Value>(&reply).unwrap()[0]["session_id"], "s");
}

#[tokio::test]
async fn the_time_in_which_a_client_sends_its_body_does_not_count_for_the_deadline() {
    let deadline = Duration::from_secs(1);
    let world = World::with(query_api::QueryOptions { deadline, ..Default::default() });
    let (address, server) = serve(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 15\r\n\r\n";
    for part in [head, "{\"user_id\":", "\"u\"}"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(deadline * 3 / 4).await;
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    server.abort();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\n[]"), "{reply}");
}

#[tokio::test]
async fn a_get_of_the_root_without_a_body_is_a_page_that_asks_nobody_else() {
    let world = World::new();
    let page = world.reply("/").await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'") && !policy.contains("http"), "{policy}");
    let text = String::from_utf8(page.body().to_vec()).unwrap();
    assert!(
        text.contains("<title>Bookend</title>") && text.contains("href=\"dashboard\""),
        "{text}"
    );
    assert_eq!(world.reply("/?utm_source=mail").await.body(), page.body());

    let script = world.reply("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.status(), 200);
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert!(script.body().len() > 1_000_000, "{}", script.body().len());
    let (head, body) = wire(&world, "HEAD /docs/page.js HTTP/1.1").await;
    assert!(
        head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\netag: ") && body.is_empty(),
        "{head}"
    );
    let (head, body) = wire(&world, "HEAD / HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n") && body.is_empty(), "{head}");
    assert!(world.metrics().contains(r#"requests_total{key="none",route="/docs",status="200"}"#));
}

#[tokio::test]
async fn a_reply_is_json_that_no_cache_keeps() {
    let reply = World::new().reply("/v1/session-starts?days=1").await;
    assert_eq!(reply.headers()["content-type"], "application/json");
    assert_eq!(reply.headers()["cache-control"], "no-store");
    assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn requests_rows_and_durations_are_counted_by_route() {
    let world = World::of(&[
        start("u", "1", "2019-05-12T10:00:00Z", "SK"),
        start("u", "2", "2019-05-12T10:00:00Z", "SK"),
    ])
    .await;
    for path in [
        "/v1/session-starts?days=2",
        "/v1/session-starts",
        "/user/last-events?days=2",
        "/v1/users/u/sessions/x",
    ] {
        world.reply(path).await;
    }
    let metrics = world.metrics();
    for line in [
        r#"bookend_query_requests_total{key="none",route="/v1/session-starts",status="200"} 1"#,
        r#"bookend_query_requests_total{key="none",route="/v1/session-starts",status="400"} 1"#,
        r#"bookend_query_requests_total{key="none",route="/user/last-events",status="200"} 1"#,
        r#"bookend_query_requests_total{key="none",route="/v1/users/{user_id}/sessions/{session_id}",status="404"} 1"#,
        r#"bookend_query_request_duration_seconds_count{route="/v1/session-starts"} 2"#,
        r#"bookend_query_rows_total{route="/v1/session-starts"} 2"#,
        r#"bookend_query_rows_total{route="/user/last-events"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_246_countries_is_answered_at_once_and_by_many_readers() {
    let world = World::with(query_api::QueryOptions { ranges: 2, ..Default::default() });
    let session = |n: u32| {
        let ts = format!("2019-05-13T{:02}:{:02}:{:02}Z", n % 12, n / 60 % 60, n % 60);
        start("user", &format!("session-{n:05}"), &ts, &format!("C{:03}", n % 246))
    };
    world.feed_starts((0..16_700).map(session)).await;
    let asked = Instant::now();
    let all = world.json("/user/last-events?days=1").await;
    let took = asked.elapsed();
    assert_eq!(all.as_object().unwrap().len(), 246);
    assert_eq!(
        all.as_object()
            .unwrap()
            .values()
            .map(|starts| starts.as_array().unwrap().len())
            .sum::<usize>(),
        16_700
    );
    let page = world.json("/v1/session-starts?days=1&limit=10000").await;
    assert_eq!(started(&[page]).values().map(Vec::len).sum::<usize>(), 10_000);
    // Far above the usual time, for a busy machine and an unoptimised build.
    assert!(took < Duration::from_secs(5), "{took:?}");
    let readers: Vec<_> = (0..12)
        .map(|_| {
            let routes = world.routes.clone();
            tokio::spawn(async move {
                warp::test::request()
                    .path("/v1/session-starts/counts?days=1")
                    .reply(&routes)
                    .await
                    .status()
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 200);
    }
}
