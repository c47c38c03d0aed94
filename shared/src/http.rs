//! HTTP for all services: the accept loop, the router, and the types that they share.
//!
//! warp's own server limits neither the connections nor the time that a client takes for its
//! headers. This loop limits both, passes the client's address to the handlers, and drains the
//! requests in flight at a shutdown. The loop knows no path; the router does.

use std::{
    future::Future,
    io::{self, Write},
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use self::stream::ClientStream;
pub use self::{
    params::{COUNTRY, Params, ParamsError, percent_decode},
    reply::{ErrorReply, Fault, HttpError, json_reply},
    request::{ClientAddress, Request, RequestBody},
    router::{Route, Router, Routes, document},
};

pub mod openapi;
mod params;
mod reply;
mod request;
mod router;
mod stream;

/// The pause after a failed accept, for example because the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest size of a connection's read buffer, in bytes; it also limits a request's headers.
const BUFFER: usize = 64 << 10;
/// The body of the reply to a connection over the limit.
const TOO_MANY: &str = r#"{"error":{"code":"unavailable","message":"too many connections are open; try again in 1 s"}}"#;

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// The number of connections that may be open; the next one gets a 503 and is closed.
    pub max_connections: usize,
    /// The time that a client may take for a request's headers, and stay idle between requests.
    pub header_timeout: Duration,
    /// The time for which a client may leave a reply unread before its connection is closed.
    pub write_timeout: Duration,
    /// The time that the requests in flight may take after a shutdown has begun.
    pub drain_timeout: Duration,
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

/// Serves `routes` on `listener` until `shutdown` resolves, then waits for the requests in flight;
/// those that take longer than the drain timeout are aborted.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
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
                    tracing::warn!(%error, "accepting a connection failed; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => {
                let (routes, watcher) = (routes.clone(), graceful.watcher());
                connections.spawn(connection(stream, client, routes, options, watcher, permit));
            }
            Err(_none_free) => {
                if let Err(error) = refuse(stream) {
                    tracing::debug!(%error, "a client left before its connection was refused");
                }
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that did not finish within the drain timeout were aborted");
    }
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    routes: Routes,
    options: ServeOptions,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
) {
    // Otherwise a small reply may wait for the client's delayed acknowledgement.
    stream.set_nodelay(true).ok();
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ClientAddress(client.ip().to_canonical()));
        hyper::service::Service::call(&routes, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(ClientStream::new(stream, options.write_timeout)), service);
    // A client that disconnects early is not worth a line at the default level.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Refuses a connection over the limit and closes it before the next one is accepted, so that a
/// burst of connections cannot use up the open files. The send buffer of a new connection is empty,
/// so the write never blocks.
fn refuse(stream: TcpStream) -> io::Result<()> {
    let mut stream = stream.into_std()?;
    let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n";
    let length = TOO_MANY.len();
    let kind = "content-type: application/json";
    let text = format!("{head}{kind}\r\ncontent-length: {length}\r\n\r\n{TOO_MANY}");
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}
