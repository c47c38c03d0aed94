//! Serving HTTP: the accept loop under warp's routes, and the one shape of an error.
//!
//! warp's own server has no limit on connections or on the time a client takes for its headers, so the loop is ours: it
//! bounds both, tells routes who the client is, and drains what is under way when it is told to stop.

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write},
    net::{IpAddr, Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use self::stream::ClientStream;

pub mod openapi;
mod stream;

/// How long the loop waits before it accepts again after it could not, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The most a connection's read buffer grows to, in bytes; also the limit on a request's headers.
const BUFFER: usize = 64 << 10;
/// What a client hears whose connection is one too many.
const TOO_MANY: &str =
    r#"{"error":{"code":"unavailable","message":"too many connections are open at the moment"}}"#;

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// How many connections may be open; one more is told 503 and closed.
    pub max_connections: usize,
    /// How long a client may take for a request's headers, and stay idle between requests.
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread before it is cut off.
    pub write_timeout: Duration,
    /// How long requests under way may take once the process was told to stop.
    pub drain_timeout: Duration,
}

/// Who sent a request: found in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// `{"error":{"code","message"}}`, the one shape of an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub struct ErrorReply<'a> {
    /// What is wrong.
    pub error: Fault<'a>,
}

/// What is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Fault<'a> {
    /// A word that never changes.
    pub code: &'a str,
    /// A sentence for the client.
    pub message: &'a str,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Serves `routes` on `listener` until `shutdown`, then lets the requests under way finish; those that do not in time are cut.
pub async fn serve(
    listener: TcpListener,
    routes: impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, client) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let watcher = graceful.watcher();
                connections.spawn(connection(
                    stream,
                    client,
                    routes.clone(),
                    options,
                    watcher,
                    place,
                ));
            }
            // It is of no use to learn that the client did not wait for it.
            Err(_) => refuse(stream).unwrap_or_default(),
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that did not finish in time were cut");
    }
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    routes: impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    options: ServeOptions,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    // Without it a small answer may wait for the client's delayed acknowledgement.
    stream.set_nodelay(true).ok();
    let routes = hyper_util::service::TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Client(client.ip().to_canonical()));
        hyper::service::Service::call(&routes, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(ClientStream::new(stream, options.write_timeout)), service);
    // A client that breaks off, or never asks, is no event worth a line.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Tells a client that its connection is one too many, and closes it before the next is accepted: so that however many come
/// at once, the files that connections hold stay within their limit. A new connection's buffer is empty, so this never waits.
fn refuse(stream: TcpStream) -> io::Result<()> {
    let mut stream = stream.into_std()?;
    let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n";
    let length = TOO_MANY.len();
    let kind = "content-type: application/json";
    let text = format!("{head}{kind}\r\ncontent-length: {length}\r\n\r\n{TOO_MANY}");
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}

/// An error as it is answered.
#[must_use]
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json_reply(status, &ErrorReply { error: Fault { code, message } })
}

/// An error that passes: with the seconds after which it is worth trying again.
#[must_use]
pub fn error_for_now(status: StatusCode, code: &str, message: &str, retry_after: u64) -> Response {
    let mut reply = error(status, code, message);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    reply
}

/// `body` as a JSON reply.
#[must_use]
pub fn json_reply(status: StatusCode, body: &impl Serialize) -> Response {
    warp::reply::with_status(warp::reply::json(body), status).into_response()
}

/// `routes`, and an answer for what none of them takes: 405 for a path of `known` with another method, else 404.
pub fn or_unknown(
    routes: BoxedFilter<(Response,)>,
    known: impl Fn(&str) -> Vec<&'static str> + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let unknown = warp::path::full().map(move |path: warp::path::FullPath| {
        let methods = known(path.as_str());
        if methods.is_empty() {
            return error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address");
        }
        let allow = methods.join(", ");
        let message = format!("this address takes {allow}");
        let mut reply = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            reply.headers_mut().insert(header::ALLOW, allow);
        }
        reply
    });
    routes.or(unknown).unify()
}
