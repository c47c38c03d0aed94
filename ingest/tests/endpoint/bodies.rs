//! Bodies: compressed, in pieces, too large, too slow, never finished.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use ingest::http::EndpointOptions;
use test_support::connection::{Connection, ask, request, until};

use super::{Options, Server, batch};

const GZIP: &str = "content-encoding: gzip";
const ZSTD: &str = "content-encoding: zstd";

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::bulk::compress(bytes.as_ref(), 1).unwrap()
}

async fn post(
    server: &Server,
    headers: &[&str],
    body: impl AsRef<[u8]>,
) -> (u16, serde_json::Value) {
    let reply = ask(server.address, request("POST", "/v1/events", headers, body)).await;
    (reply.status, reply.json())
}

/// Begins a request with a body of `length` bytes; returns when the server has begun to read it.
async fn begin(server: &Server, length: usize) -> Connection {
    let mut connection = Connection::open(server.address).await;
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n");
    connection.send(format!("{head}expect: 100-continue\r\n\r\n")).await;
    assert_eq!(connection.reply().await.unwrap().status, 100);
    connection
}

fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

async fn chunked(server: &Server) -> Connection {
    let mut connection = Connection::open(server.address).await;
    connection
        .send("POST /v1/events HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    connection
}

#[tokio::test]
async fn a_gzip_body_is_inflated() {
    let server = Server::start().await;
    for encoding in [GZIP, "content-encoding: x-GZIP"] {
        let (status, said) = post(&server, &[encoding], gzip(batch(3))).await;
        assert_eq!((status, said["accepted"].as_u64()), (200, Some(3)));
    }
}

#[tokio::test]
async fn a_gzip_body_of_several_members_is_one_body() {
    let server = Server::start().await;
    let text = batch(3);
    let (first, second) = text.split_at(20);
    let (status, said) = post(&server, &[GZIP], [gzip(first), gzip(second)].concat()).await;
    assert_eq!((status, said["accepted"].as_u64()), (200, Some(3)));
}

#[tokio::test]
async fn a_zstd_body_is_inflated_in_one_frame_or_several_of_known_length_or_unknown() {
    let server = Server::start().await;
    let text = batch(3);
    let (first, second) = text.split_at(20);
    let streamed = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    for body in [zstd(&text), [zstd(first), zstd(second)].concat(), streamed] {
        let (status, said) = post(&server, &[ZSTD], body).await;
        assert_eq!((status, said["accepted"].as_u64()), (200, Some(3)));
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_inflated_is_400() {
    let server = Server::start().await;
    let (gz, zst) = (gzip(batch(3)), zstd(batch(3)));
    let bodies = [
        (GZIP, gz[..gz.len() - 9].to_vec()),
        (GZIP, gz[..5].to_vec()),
        (GZIP, batch(3).into_bytes()),
        (GZIP, Vec::new()),
        (GZIP, [gz.as_slice(), b"trailing"].concat()),
        (GZIP, zst.clone()),
        (ZSTD, zst[..zst.len() - 3].to_vec()),
        (ZSTD, zst[..5].to_vec()),
        (ZSTD, batch(3).into_bytes()),
        (ZSTD, gz),
    ];
    for (encoding, body) in bodies {
        let (status, said) = post(&server, &[encoding], &body).await;
        assert_eq!(
            (status, said["error"]["code"].as_str()),
            (400, Some("damaged_body")),
            "{encoding} {body:?}"
        );
    }
    assert_eq!(server.appended(), 0);
    assert_eq!(server.inflight(), 0.0);
}

#[tokio::test]
async fn a_body_that_would_inflate_without_end_is_413() {
    let server = Server::start().await;
    let zeros = vec![0; 1 << 20];
    let (zstd, gzip) = (zstd(&zeros).repeat(10 << 10), gzip(&zeros).repeat(900));
    for (encoding, body) in [(ZSTD, zstd), (GZIP, gzip)] {
        assert!(body.len() <= 1 << 20, "{}", body.len());
        let (status, said) = post(&server, &[encoding], body).await;
        assert_eq!(
            (status, said["error"]["code"].as_str()),
            (413, Some("body_too_large")),
            "{encoding}"
        );
    }
    assert_eq!(server.inflight(), 0.0);
    // Even the smaller body is larger, once decompressed, than the process with all tests ever was.
    if let Some(peak) = peak_memory() {
        assert!(peak < 512 << 20, "{peak}");
    }
}

/// The peak memory of this process in bytes, where the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_before_and_after_inflating_and_no_longer() {
    let text = batch(5);
    for (limit, status) in [(text.len(), 200), (text.len() - 1, 413)] {
        let server =
            Server::limited(EndpointOptions { max_body_bytes: limit, ..Default::default() }).await;
        assert_eq!(post(&server, &[], &text).await.0, status);
        assert_eq!(post(&server, &[GZIP], gzip(&text)).await.0, status);
        assert_eq!(post(&server, &[ZSTD], zstd(&text)).await.0, status);
    }
}

#[tokio::test]
async fn another_encoding_is_415_with_those_that_are_supported() {
    let server = Server::start().await;
    for encoding in ["br", "deflate", "gzip, zstd", "gzip, gzip"] {
        let encoding = format!("content-encoding: {encoding}");
        let reply =
            ask(server.address, request("POST", "/v1/events", &[&encoding], batch(1))).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_encoding"));
        assert_eq!(reply.header("accept-encoding"), Some("gzip, zstd"), "{encoding}");
    }
    let kind = "content-type: text/csv";
    let reply = ask(server.address, request("POST", "/v1/events", &[kind], batch(1))).await;
    assert_eq!((reply.status, reply.header("accept-encoding")), (415, None));
}

#[tokio::test]
async fn the_identity_beside_an_encoding_means_nothing() {
    let server = Server::start().await;
    let identity = "content-encoding: identity";
    let lists: [&[&str]; 6] = [
        &[identity, GZIP],
        &[GZIP, identity],
        &["content-encoding: identity, gzip"],
        &["content-encoding: Gzip , Identity"],
        &["content-encoding:", GZIP],
        &["content-encoding: gzip,"],
    ];
    for headers in lists {
        let (status, said) = post(&server, headers, gzip(batch(2))).await;
        assert_eq!((status, said["accepted"].as_u64()), (200, Some(2)), "{headers:?}");
    }
    assert_eq!(post(&server, &[identity, identity], batch(1)).await.0, 200);
    assert_eq!(post(&server, &[GZIP, ZSTD], gzip(batch(1))).await.0, 415);
}

#[tokio::test]
async fn zero_bytes_after_the_end_of_a_gzip_are_padding_and_others_are_named() {
    let server = Server::start().await;
    let text = batch(3);
    let (first, second) = text.split_at(20);
    let members = [gzip(first), gzip(second)].concat();
    for gzip in [gzip(&text), members] {
        let padded = [gzip.as_slice(), &[0; 512]].concat();
        let (status, said) = post(&server, &[GZIP], padded).await;
        assert_eq!((status, said["accepted"].as_u64()), (200, Some(3)));
    }
    let whole = gzip(&text);
    for (rest, said) in [("follow", "other bytes (6)"), ("\0\0\0follow", "other bytes (9)")] {
        let body = [whole.as_slice(), rest.as_bytes()].concat();
        let (status, reply) = post(&server, &[GZIP], body).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert_eq!(status, 400);
        assert!(message.contains(said) && message.contains("the end of the gzip"), "{message}");
    }
}

#[tokio::test]
async fn a_compressed_body_that_breaks_off_is_told_so() {
    let server = Server::start().await;
    let (gz, zst) = (gzip(batch(3)), zstd(batch(3)));
    for (encoding, body) in [
        (GZIP, &gz[..gz.len() - 6]),
        (GZIP, &gz[..gz.len() / 2]),
        (GZIP, &gz[..5]),
        (GZIP, &gz[..0]),
        (ZSTD, &zst[..zst.len() - 3]),
    ] {
        let (status, reply) = post(&server, &[encoding], body).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert_eq!(status, 400);
        assert!(message.contains("broke off"), "{encoding} {}: {message}", body.len());
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_413_before_it_is_sent() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send("POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-length: 1048577\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(connection.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_body_whose_length_is_no_number_of_ours_is_refused() {
    let server = Server::start().await;
    for length in ["-1", "x", "99999999999999999999999"] {
        let head =
            format!("POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        assert_eq!(ask(server.address, head).await.status, 400, "{length}");
    }
}

#[tokio::test]
async fn who_sends_too_much_all_the_same_reads_the_413() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    connection.send_if_open(request("POST", "/v1/events", &[], vec![b' '; 8 << 20])).await;
    assert_eq!(
        connection.reply().await.expect("the connection was closed before the reply").status,
        413
    );
}

#[tokio::test]
async fn a_body_in_chunks_needs_no_length() {
    let server = Server::start().await;
    let mut connection = chunked(&server).await;
    for piece in batch(3).as_bytes().chunks(7) {
        connection.send(chunk(piece)).await;
    }
    connection.send(chunk("")).await;
    assert_eq!(connection.reply().await.unwrap().json()["accepted"], 3);
}

#[tokio::test]
async fn a_body_in_chunks_that_is_too_long_is_413() {
    let server = Server::start().await;
    let mut connection = chunked(&server).await;
    for _ in 0..3 {
        connection.send_if_open(chunk(vec![b' '; 512 << 10])).await;
    }
    assert_eq!(connection.reply().await.unwrap().status, 413);
    assert_eq!(server.inflight(), 0.0);
}

#[tokio::test]
async fn a_chunk_that_is_none_is_400() {
    let server = Server::start().await;
    let mut connection = chunked(&server).await;
    connection.send("zz\r\n").await;
    let reply = connection.reply().await.unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (400, "damaged_body"));
}

#[tokio::test]
async fn too_many_events_are_413_and_none_of_them_is_taken() {
    let server = Server::start().await;
    let (status, said) = post(&server, &[], batch(1_001)).await;
    assert_eq!((status, said["error"]["code"].as_str()), (413, Some("too_many_events")));
    assert_eq!(server.appended(), 0);
    assert_eq!(post(&server, &[], batch(1_000)).await.0, 200);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_body_hears_408_and_is_cut_off() {
    let options = EndpointOptions { body_timeout: Duration::from_millis(50), ..Default::default() };
    let server = Server::limited(options).await;
    let mut connection = begin(&server, 100).await;
    connection.send("[").await;
    let reply = connection.reply().await.unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (408, "slow_body"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(connection.is_cut().await);
    assert_eq!(server.inflight(), 0.0);
}

#[tokio::test]
async fn of_a_client_that_goes_away_half_way_nothing_is_taken() {
    let server = Server::start().await;
    let text = batch(3);
    let mut connection = begin(&server, text.len() + 1).await;
    // Everything except a space at the end.
    connection.send(&text).await;
    until(|| server.inflight() > 0.0).await;
    drop(connection);
    until(|| server.inflight() == 0.0).await;
    assert_eq!(post(&server, &[], batch(1)).await.0, 200);
    assert_eq!(server.appended(), 1);
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let server = Server::start().await;
    let text = batch(2);
    let mut connection = begin(&server, text.len()).await;
    connection.send(text).await;
    assert_eq!(connection.reply().await.unwrap().json()["accepted"], 2);
}

#[tokio::test]
async fn a_connection_lives_on_after_an_error() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    for (headers, body, status) in [
        (vec![], "[".to_owned(), 400),
        (vec![], batch(1_001), 413),
        (vec![GZIP], batch(1), 400),
        (vec![], batch(1), 200),
    ] {
        connection.send(request("POST", "/v1/events", &headers, body)).await;
        assert_eq!(connection.reply().await.unwrap().status, status);
    }
}

#[tokio::test]
async fn batches_sent_at_once_on_one_connection_are_each_answered() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let all: Vec<_> =
        (1..=5).map(|count| request("POST", "/v1/events", &[], batch(count))).collect();
    connection.send(all.concat()).await;
    for count in 1..=5 {
        assert_eq!(connection.reply().await.unwrap().json()["accepted"], count);
    }
    assert_eq!(server.appended(), 15);
}

#[tokio::test]
async fn what_is_too_much_at_once_is_503_at_once_and_the_others_are_served() {
    let text = batch(8);
    let options = EndpointOptions {
        max_body_bytes: text.len(),
        max_inflight_bytes: 2 * text.len() + 200,
        ..Default::default()
    };
    let server = Server::with(Options { endpoint: options, ..Options::default() }).await;
    let (all_but_one, last) = text.split_at(text.len() - 1);
    let (mut first, mut second) =
        (begin(&server, text.len()).await, begin(&server, text.len()).await);
    first.send(all_but_one).await;
    second.send(all_but_one).await;
    until(|| server.inflight() == 2.0 * all_but_one.len() as f64).await;

    let refused = ask(server.address, request("POST", "/v1/events", &[], &text)).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(post(&server, &[], batch(1)).await.0, 200);

    first.send(last).await;
    second.send(last).await;
    assert_eq!(first.reply().await.unwrap().status, 200);
    assert_eq!(second.reply().await.unwrap().status, 200);
    assert_eq!(server.inflight(), 0.0);
    assert_eq!(post(&server, &[], &text).await.0, 200);
}
