//! Faults: the log does not accept a batch, a client is over its quota, or the process is stopped.

use std::{num::NonZeroU32, time::Duration};

use ingest::http::EndpointOptions;
use shared::http::ServeOptions;
use test_support::{
    connection::{Connection, Reply, ask, request, until},
    lines::Lines,
};
use tokio::net::TcpStream;

use super::{LIMIT, Options, Server, batch};

async fn post(server: &Server, body: impl AsRef<[u8]>) -> Reply {
    ask(server.address, request("POST", "/v1/events", &[], body)).await
}

/// A request with a body of `length` bytes that the server waits for.
async fn begin(server: &Server, length: usize) -> Connection {
    let mut connection = Connection::open(server.address).await;
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n");
    connection.send(format!("{head}expect: 100-continue\r\n\r\n")).await;
    assert_eq!(connection.reply().await.unwrap().status, 100);
    connection
}

fn quota(rate: u32, max_events: usize) -> EndpointOptions {
    EndpointOptions {
        quota_events_per_second: NonZeroU32::new(rate),
        max_events,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_full_disk_is_503_and_nothing_is_counted_as_sent() {
    let server = Server::with(Options { reserve: u64::MAX, ..Options::default() }).await;
    let body = batch(2).replacen('[', "[7,", 1);
    for _ in 0..3 {
        let reply = post(&server, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(server.accepted(), 0.0);
    // The client sends all of them again.
    let rejected = r#"bookend_ingest_events_total{code="not_an_object",outcome="rejected"}"#;
    assert_eq!(server.metric(rejected), 0.0);
    assert_eq!(server.inflight(), 0.0);
    assert_eq!(server.appended(), 0);
}

#[tokio::test]
async fn an_outage_of_the_log_is_one_line_however_often_clients_repeat() {
    let (lines, _guard) = Lines::collect();
    let server = Server::with(Options { reserve: u64::MAX, ..Options::default() }).await;
    let first = post(&server, batch(1)).await;
    assert_eq!(first.status, 503);
    for _ in 0..100 {
        assert_eq!(post(&server, batch(1)).await.status, 503);
    }
    let refused = lines.with("the client gets a 503");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("WARN") && refused[0].contains("suppressed=0"), "{refused:?}");
    let id = format!("request_id={}", first.header("x-request-id").unwrap());
    assert!(refused[0].contains(&id), "{id}: {refused:?}");
}

#[tokio::test]
async fn bodies_that_find_no_memory_are_one_line() {
    let (lines, _guard) = Lines::collect();
    let options = EndpointOptions { max_inflight_bytes: 1, ..Default::default() };
    let server = Server::limited(options).await;
    for _ in 0..10 {
        assert_eq!(post(&server, batch(1)).await.status, 503);
    }
    assert_eq!(lines.with("too many request bodies").len(), 1);
}

#[tokio::test]
async fn a_log_that_is_too_slow_is_503_and_what_it_takes_in_the_end_is_counted() {
    let options = EndpointOptions {
        append_timeout: Duration::ZERO,
        max_events: 20_000,
        max_body_bytes: 16 << 20,
        ..Default::default()
    };
    let server = Server::limited(options).await;
    // A log that replies within one tick of the clock is still in time.
    let (mut sent, body) = (0, batch(20_000));
    let reply = loop {
        sent += 20_000;
        let reply = post(&server, &body).await;
        if reply.status != 200 {
            break reply;
        }
    };
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    until(|| server.accepted() == f64::from(sent)).await;
    until(|| server.inflight() == 0.0).await;
    assert_eq!(server.after_a_restart().await.len(), sent as usize);
}

#[tokio::test]
async fn more_than_the_quota_is_429_with_the_time_to_wait() {
    let server = Server::limited(quota(1, 10)).await;
    assert_eq!(post(&server, batch(10)).await.status, 200);
    let reply = post(&server, batch(5)).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "over_quota"));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((4..=6).contains(&wait), "{wait}");
    assert_eq!(server.appended(), 10);
    assert_eq!(server.accepted(), 10.0);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_a_quota_each() {
    let from = async |server: &Server, client: &str| {
        let header = format!("x-forwarded-for: {client}");
        ask(server.address, request("POST", "/v1/events", &[&header], batch(10))).await.status
    };
    let trusted_proxies = "127.0.0.0/8".parse().unwrap();
    let server = Server::limited(EndpointOptions { trusted_proxies, ..quota(1, 10) }).await;
    assert_eq!(from(&server, "192.0.2.1").await, 200);
    assert_eq!(from(&server, "192.0.2.1").await, 429);
    assert_eq!(from(&server, "192.0.2.2").await, 200);
    assert_eq!(from(&server, "192.0.2.3, 192.0.2.2").await, 429);
    // Without trust, everybody behind the proxy is one client.
    let server = Server::limited(quota(1, 10)).await;
    assert_eq!(from(&server, "192.0.2.1").await, 200);
    assert_eq!(from(&server, "192.0.2.2").await, 429);
}

#[tokio::test]
async fn a_batch_of_the_largest_size_passes_any_quota() {
    let server = Server::limited(quota(1, 1_000)).await;
    assert_eq!(post(&server, batch(1_000)).await.status, 200);
}

#[tokio::test]
async fn events_that_are_refused_count_against_the_quota() {
    let server = Server::limited(quota(1, 3)).await;
    assert_eq!(post(&server, "[1,2,3]").await.status, 400);
    assert_eq!(post(&server, "[1,2,3]").await.status, 429);
}

#[tokio::test]
async fn a_batch_under_way_when_the_stop_comes_is_answered_and_durable() {
    let server = Server::start().await;
    let text = batch(3);
    let mut connection = begin(&server, text.len()).await;
    let (address, records) = (server.address, tokio::spawn(server.after_a_restart()));
    let refused = tokio::time::timeout(LIMIT, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.expect("new connections are still accepted");
    connection.send(text).await;
    let reply = connection.reply().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    drop(connection);
    assert_eq!(records.await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_batch_that_never_arrives_does_not_hold_up_the_stop() {
    let connections =
        ServeOptions { drain_timeout: Duration::from_millis(50), ..Default::default() };
    let server = Server::with(Options { connections, ..Options::default() }).await;
    let mut connection = begin(&server, 100).await;
    assert!(server.after_a_restart().await.is_empty());
    assert!(connection.is_cut().await);
}
