//! The endpoint: clients with low overhead, and a minimal endpoint with the same guarantee.

use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::try_join_all;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use warp::Filter;

use super::topic;
use crate::load;

/// The number of clients, each with one request at a time.
const CLIENTS: u32 = 16;

/// Posts `batches` batches of ten events to `url` and returns the acknowledged events per second.
pub(crate) async fn measure(url: &str, batches: u32) -> anyhow::Result<f64> {
    let address: SocketAddr = url.trim_start_matches("http://").parse()?;
    let requests = |client| (client..batches).step_by(CLIENTS as usize).map(request).collect();
    let requests: Vec<Vec<Vec<u8>>> = (0..CLIENTS).map(requests).collect();
    let begun = Instant::now();
    let clients = requests.into_iter().map(|requests| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut reply = vec![0; 4_096];
            for request in requests {
                post(&mut stream, &request, &mut reply).await?;
            }
            anyhow::Ok(())
        })
    });
    for client in try_join_all(clients).await? {
        client?;
    }
    Ok(f64::from(10 * batches) / begun.elapsed().as_secs_f64())
}

/// Builds a request before the measurement, because the clients share the processors.
fn request(number: u32) -> Vec<u8> {
    let body = load::ten_events(number);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body[..]].concat()
}

async fn post(stream: &mut TcpStream, request: &[u8], reply: &mut [u8]) -> anyhow::Result<()> {
    stream.write_all(request).await?;
    let mut read = 0;
    loop {
        read += stream.read(&mut reply[read..]).await?;
        let head = reply[..read].windows(4).position(|window| window == b"\r\n\r\n");
        let Some(head) = head else {
            anyhow::ensure!(read > 0 && read < reply.len(), "the connection ended within a reply");
            continue;
        };
        let text = str::from_utf8(&reply[..head])?;
        anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if read >= head + 4 + length.context("no length")? {
            return Ok(());
        }
    }
}

/// Serves an endpoint that does not parse bodies: it produces ten records per body and waits for
/// the acknowledgements.
pub(crate) async fn serve(brokers: &str, topic: &str) -> anyhow::Result<()> {
    let (producer, topic) = (topic::producer(brokers)?, topic.to_owned());
    let take = warp::post().and(warp::body::bytes()).then(move |body: Bytes| {
        let (producer, topic) = (producer.clone(), topic.clone());
        async move {
            let status = match produce(&producer, &topic, &body).await {
                Ok(()) => warp::http::StatusCode::OK,
                Err(_) => warp::http::StatusCode::SERVICE_UNAVAILABLE,
            };
            warp::reply::with_status("{}", status)
        }
    });
    let ready = warp::path!("readyz").map(|| "ready");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut out = std::io::stderr().lock();
    writeln!(out, "{}", serde_json::json!({ "fields": { "address": address.to_string() } }))?;
    drop(out);
    warp::serve(ready.or(take)).incoming(listener).run().await;
    Ok(())
}

async fn produce(producer: &FutureProducer, topic: &str, body: &[u8]) -> anyhow::Result<()> {
    // Splits at closing braces without parsing.
    let events = body.split(|byte| *byte == b'}').filter(|event| event.len() > 2);
    let sent = events.map(|event| {
        let key = &event[..event.len().min(32)];
        producer.send(FutureRecord::to(topic).key(key).payload(event), Duration::from_secs(10))
    });
    for outcome in futures_util::future::join_all(sent).await {
        outcome.map_err(|(error, _)| error)?;
    }
    Ok(())
}
