//! Limits on connections: their number, the time that each may wait, and what a client may still
//! send after its last reply.

use std::time::Duration;

use futures_util::StreamExt;
use shared::http::{ErrorCode, HttpError};
use warp::http::StatusCode;

use super::*;

#[tokio::test]
async fn a_connection_too_many_hears_503_in_json_and_a_place_is_given_back() {
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Server::start(waiting(&begun, &free), options).await;
    let mut first = Connection::open(server.address).await;
    first.send(bare("GET", "/hello")).await;
    begun.notified().await;

    let refused = ask(server.address, bare("GET", "/hello")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("connection"), Some("close"));
    headers::assert_complete(&refused);

    drop(first);
    let served = tokio::time::timeout(LIMIT, async {
        while ask(server.address, bare("GET", "/nothing")).await.status == 503 {}
    });
    served.await.unwrap();
}

#[tokio::test]
async fn a_connection_too_many_takes_the_place_of_the_one_that_is_idle_longest() {
    let options = ServeOptions { max_connections: 2, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut both = [Connection::open(server.address).await, Connection::open(server.address).await];
    // The first one is used last.
    for index in [0, 1, 0] {
        both[index].send(bare("GET", "/hello")).await;
        assert_eq!(both[index].reply().await.unwrap().status, 200);
    }
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.status, 200);
    assert!(both[1].is_cut().await);
    both[0].send(bare("GET", "/hello")).await;
    assert_eq!(both[0].reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_whose_client_still_reads_its_reply_is_not_idle() {
    const LENGTH: usize = 64 << 20;
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let long = at_hello(async || vec![b'x'; LENGTH].into_response());
    let server = Server::start(long, options).await;
    let mut reading = Connection::open(server.address).await;
    reading.send(bare("GET", "/hello")).await;
    let head = reading.head().await.unwrap();
    assert_eq!(ask(server.address, bare("HEAD", "/hello")).await.status, 503);
    assert_eq!(reading.body(&head).await.unwrap().len(), LENGTH);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_a_first_request() {
    let options =
        ServeOptions { header_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut idle = Connection::open(server.address).await;
    idle.send(bare("GET", "/hello")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    // This one begins later and has waited too long.
    assert!(Connection::open(server.address).await.is_cut().await);
    idle.send(bare("GET", "/hello")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed() {
    let options =
        ServeOptions { idle_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut idle = Connection::open(server.address).await;
    idle.send(bare("GET", "/hello")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    assert!(idle.is_cut().await);
}

#[tokio::test]
async fn no_limit_on_connections_is_too_high_to_be_used() {
    let options = ServeOptions { max_connections: usize::MAX, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let options =
        ServeOptions { header_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut slow = Connection::open(server.address).await;
    slow.send("GET /hello HTTP/1.1\r\nhost: te").await;
    assert!(slow.is_cut().await);
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_cut_off() {
    let options =
        ServeOptions { header_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    assert!(Connection::open(server.address).await.is_cut().await);
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_cut_off() {
    let endless = at_hello(async || vec![b'x'; 64 << 20].into_response());
    let options = ServeOptions {
        max_connections: 1,
        write_timeout: Duration::from_millis(50),
        ..ServeOptions::default()
    };
    let server = Server::start(endless, options).await;
    let mut deaf = Connection::open(server.address).await;
    deaf.send(bare("GET", "/hello")).await;
    // Another client can connect only after this one was disconnected.
    let served =
        tokio::time::timeout(LIMIT, async { while ask_head(server.address).await != 200 {} });
    served.await.unwrap();
}

#[tokio::test]
async fn a_reply_to_a_request_whose_body_was_not_read_is_the_last_one() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    for (method, path, status) in
        [("POST", "/nowhere", 404), ("PUT", "/hello", 405), ("GET", "/hello", 200)]
    {
        let mut connection = Connection::open(server.address).await;
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 2000000\r\n\r\n");
        connection.send(head + &"x".repeat(1_000)).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{path}");
    }
    let mut connection = Connection::open(server.address).await;
    for length in ["0", "00"] {
        let head =
            format!("POST /nowhere HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        connection.send(head).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (404, None));
    }
}

#[tokio::test]
async fn the_small_body_of_a_denied_request_is_read_and_its_connection_is_kept() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let denied = "origin: https://evil.example";
    let mut connection = Connection::open(server.address).await;
    for _ in 0..2 {
        connection.send(request("POST", "/hello", &[denied], "x".repeat(64 << 10))).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (403, None));
    }
    // A longer one is not, and a client that waits with its body is not asked for it.
    for length in ["content-length: 65537", "content-length: 1\r\nexpect: 100-continue"] {
        let mut connection = Connection::open(server.address).await;
        let head = format!("POST /hello HTTP/1.1\r\nhost: test\r\n{denied}\r\n{length}\r\n\r\n");
        connection.send(head).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (403, Some("close")), "{length}");
    }
}

#[tokio::test]
async fn a_client_that_sends_on_and_on_after_its_last_reply_is_cut_off() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    let head = "POST /nowhere HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999999\r\n\r\n";
    connection.send(head).await;
    assert_eq!(connection.reply().await.unwrap().status, 404);
    // The server reads 16 MiB of it; the rest is what the buffers of both sides hold.
    let more = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while connection.send_if_open(&more).await {
        sent += 1;
        assert!(sent < 64, "{sent} MiB were read");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused_without_a_body() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let long = format!("GET /hello HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    for (sent, status) in [
        ("\x16\x03\x01\x02\0\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (&long, 431),
    ] {
        let mut connection = Connection::open(server.address).await;
        connection.send_if_open(sent).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.text()), (status, ""));
        assert!(connection.is_cut().await);
    }
}

async fn ask_head(address: SocketAddr) -> u16 {
    let mut connection = Connection::open(address).await;
    connection.send(bare("HEAD", "/hello")).await;
    connection.reply_to_head().await.unwrap().status
}

#[tokio::test]
async fn who_is_answered_while_it_still_sends_is_listened_to_a_moment_more() {
    let refuse = async |_, _| {
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge, "no").to_response()
    };
    let refuse = vec![Route::post("/hello", Access::Public, refuse)];
    let refuse = Router::default().with(&Arc::new(()), refuse);
    let server = Server::start(refuse, ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send("POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\nbegin")
        .await;
    let reply = connection.reply().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert!(connection.is_cut().await);
    // After a reset the second write would fail; on some systems a reset also discards the reply.
    for _ in 0..10 {
        connection.send("more").await;
    }
}

#[tokio::test]
async fn a_body_with_two_lengths_ends_where_its_chunks_do_and_nothing_after_it_is_a_request() {
    let length = async |_, request: Request| {
        let pieces: Vec<_> = request.body.collect().await;
        let length: usize = pieces.into_iter().map(|piece| piece.unwrap().len()).sum();
        length.to_string().into_response()
    };
    let route = Route::post("/hello", Access::Public, length);
    let router = Router::default().with(&Arc::new(()), vec![route]);
    let server = Server::start(router, ServeOptions::default()).await;
    let lengths = ["content-length: 6", "transfer-encoding: chunked"];
    for order in [[0, 1], [1, 0]] {
        let [first, second] = order.map(|index| lengths[index]);
        let mut connection = Connection::open(server.address).await;
        let head = format!("POST /hello HTTP/1.1\r\nhost: test\r\n{first}\r\n{second}\r\n\r\n");
        let chunks = "3\r\nabc\r\n0\r\n\r\n".to_owned();
        let smuggled = "POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
        connection.send(head + &chunks + smuggled).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "3"));
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(connection.is_cut().await);
    }
}
