//! HTTP for all services: the accept loop, the router, and the types that they share.
//!
//! warp's own server limits neither the connections nor the time that a client takes for its
//! headers. This loop limits both, and lets requests finish at a shutdown. It knows no path; the
//! router does.

use std::{
    future::Future,
    io::{self, Write},
    net::{Shutdown, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{AbortHandle, Abortable, Aborted};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use warp::http::StatusCode;

use self::connection::Server;
pub use self::{
    caller::Caller,
    code::ErrorCode,
    denial::Denial,
    gate::{Gate, KEY_PARAMETER},
    id::RequestId,
    options::{DrainEnd, ServeOptions},
    params::{COUNTRY, Params, ParamsError, percent_decode},
    ports::{Listeners, Ports},
    reply::{ErrorReply, Fault, HttpError, json_reply},
    request::{Connected, ConnectionId, Request, RequestBody},
    right::Access,
    router::{Route, Router, Routes, document},
    sent::of_shared_bytes,
};
use crate::{telemetry::repeats::Repeats, tls::Tls};

mod activity;
mod caller;
mod code;
mod compression;
mod connection;
mod cors;
mod denial;
mod denied;
mod frames;
mod gate;
mod headers;
mod id;
pub mod openapi;
mod options;
mod params;
mod places;
mod ports;
mod received;
mod reply;
mod request;
mod right;
mod router;
mod sent;
mod shared_limit;
mod stream;
mod streams;
mod template;
mod unrouted;
mod waiting;

/// The interval at which the files of the TLS certificate are read.
const RELOAD: Duration = Duration::from_secs(1);
/// The pause after a failed accept, for example because the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a server listens, and whether with TLS.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// A listener whose clients use TLS if `tls` is given.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        Self { tcp, tls }
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

/// Serves `routes` on `listener` until `shutdown` resolves.
///
/// Then the process is not ready, but requests are still answered for the drain window, each with
/// `Connection: close`, or GOAWAY: a balancer needs a moment to send them elsewhere. The result of
/// `shutdown` may end the window early. After it, the listener and the connections that wait for a
/// request are closed, and requests in flight that take longer than the drain timeout are aborted.
pub async fn serve(
    listener: impl Into<Listener>,
    routes: Routes,
    options: ServeOptions,
    shutdown: impl Future<Output = DrainEnd>,
) {
    let listener = listener.into();
    // Dropping it ends the task.
    let mut reloading = JoinSet::new();
    if let Some(tls) = listener.tls.clone() {
        reloading.spawn(reload(tls));
    }
    let server = Arc::new(Server::new(routes, options));
    let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let (connections, repeats) = (JoinSet::new(), Repeats::default());
    let mut accepting = Accepting { listener, server, permits, connections, repeats };
    let DrainEnd(early) = accepting.until(shutdown).await;
    accepting.server.stop();
    let window = async {
        tokio::select! {
            () = tokio::time::sleep(options.drain_window) => {}
            () = early => {}
        }
    };
    accepting.until(window).await;
    let Accepting { listener, server, mut connections, .. } = accepting;
    drop(listener);
    server.close();
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.drain_timeout, finished).await.is_err() {
        tracing::warn!("requests that did not finish within the drain timeout were aborted");
    }
    connections.shutdown().await;
}

/// Uses the files of the certificate as they are replaced.
async fn reload(tls: Arc<Tls>) {
    let mut tick = tokio::time::interval(RELOAD);
    loop {
        tick.tick().await;
        let tls = Arc::clone(&tls);
        // A disk of the network may take its time.
        let looked = tokio::task::spawn_blocking(move || tls.look()).await;
        if let Err(error) = looked {
            tracing::error!(%error, "reading the TLS certificate panicked");
        }
    }
}

/// The listener, and the connections that it accepted.
struct Accepting {
    listener: Listener,
    server: Arc<Server>,
    permits: Arc<Semaphore>,
    connections: JoinSet<Result<(), Aborted>>,
    repeats: Repeats,
}

impl Accepting {
    /// Accepts connections until `end` resolves.
    async fn until<T>(&mut self, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        loop {
            let accepted = tokio::select! {
                biased;
                ended = &mut end => return ended,
                Some(_ended) = self.connections.join_next() => continue,
                accepted = self.listener.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, client).await,
                Err(error) => {
                    if let Some(suppressed) = self.repeats.due("accept") {
                        tracing::warn!(
                            %error,
                            suppressed,
                            "accepting a connection failed; trying again"
                        );
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&mut self, stream: TcpStream, client: SocketAddr) {
        let Some(permit) = self.permit().await else {
            // Words in clear text are of no use to a client that speaks TLS.
            let refused = if self.listener.tls.is_none() { refuse(stream) } else { Ok(()) };
            if let Err(error) = refused {
                tracing::debug!(%error, "a client left before its connection was refused");
            }
            return;
        };
        // Otherwise a small reply may wait for the client's delayed acknowledgement.
        stream.set_nodelay(true).ok();
        let (handle, registration) = AbortHandle::new_pair();
        let (server, tls) = (Arc::clone(&self.server), self.listener.tls.clone());
        let connected = server.connect(stream, tls, client.ip(), handle);
        let connection = async move {
            connected.await;
            drop(permit);
        };
        self.connections.spawn(Abortable::new(connection, registration));
    }

    /// A permit for one more connection, to which another one may give way.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        if self.permits.available_permits() > 0 || self.server.waiting.close_one() {
            permits.acquire_owned().await.ok()
        } else {
            None
        }
    }
}

/// Refuses a connection over the limit and closes it before the next one is accepted, so that a
/// burst of connections cannot use up the open files. The send buffer of a new connection is empty,
/// so the write never blocks.
fn refuse(stream: TcpStream) -> io::Result<()> {
    let mut stream = stream.into_std()?;
    let message = "too many connections are open; try again in 1 s";
    let error = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message);
    stream.write_all(error.retry_after(1).to_last_reply().as_bytes())?;
    stream.shutdown(Shutdown::Write)
}
