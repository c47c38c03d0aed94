//! The endpoint: clients with low overhead, and a minimal endpoint with the same guarantee.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::try_join_all;
use rdkafka::producer::{FutureProducer, FutureRecord};
use standalone::client::ClientOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use warp::Filter;

use super::topic;
use crate::{load, service::Service};

/// The number of clients, each with one request at a time.
const CLIENTS: u32 = 16;

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Posts `batches` batches of ten events and returns the acknowledged events per second.
pub(crate) async fn measure(service: &Service, batches: u32) -> anyhow::Result<f64> {
    let (_, address) = service.url.split_once("://").context("a URL without a scheme")?;
    let address: SocketAddr = address.parse()?;
    let requests = |client| {
        let numbers = (client..batches).step_by(CLIENTS as usize);
        numbers.map(|number| request(number, &service.client)).collect()
    };
    let requests: Vec<Vec<Vec<u8>>> = (0..CLIENTS).map(requests).collect();
    let begun = Instant::now();
    let clients = requests.into_iter().map(|requests| {
        let options = service.client.clone();
        tokio::spawn(async move {
            let mut stream = connect(address, &options).await?;
            let mut reply = vec![0; 4_096];
            for request in requests {
                post(stream.as_mut(), &request, &mut reply).await?;
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
fn request(number: u32, options: &ClientOptions) -> Vec<u8> {
    let body = load::ten_events(number);
    let mut head =
        format!("POST /v1/events HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n", body.len());
    if let Some(key) = &options.key {
        head += &format!("authorization: Bearer {}\r\n", key.reveal());
    }
    [head.as_bytes(), b"\r\n", &body[..]].concat()
}

async fn connect(address: SocketAddr, options: &ClientOptions) -> anyhow::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = options.tls()? else { return Ok(Box::new(stream)) };
    let connector = TlsConnector::from(Arc::new(tls));
    Ok(Box::new(connector.connect(ServerName::from(address.ip()), stream).await?))
}

async fn post(stream: &mut dyn Stream, request: &[u8], reply: &mut [u8]) -> anyhow::Result<()> {
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
