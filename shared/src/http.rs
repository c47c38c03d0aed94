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
    denial::Denial,
    gate::{Gate, KEY_PARAMETER},
    id::RequestId,
    options::{DrainEnd, ServeOptions},
    params::{COUNTRY, Params, ParamsError, percent_decode},
    ports::{Listeners, Ports},
    reply::{ErrorReply, Fault, HttpError, json_reply},
    request::{Connected, Request, RequestBody},
    right::Access,
    router::{Route, Router, Routes, document},
};
use crate::telemetry::repeats::Repeats;

mod activity;
mod caller;
mod compression;
mod connection;
mod cors;
mod denial;
mod gate;
mod headers;
mod id;
pub mod openapi;
mod options;
mod params;
mod ports;
mod reply;
mod request;
mod right;
mod router;
mod stream;
mod template;
mod unrouted;
mod waiting;

/// The pause after a failed accept, for example because the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `routes` on `listener` until `shutdown` resolves.
///
/// Then the process is not ready, but requests are still answered for the drain window, each with
/// `Connection: close`: a balancer needs a moment to send them elsewhere. The result of `shutdown`
/// may end the window early. After it, the listener and the connections that wait for a request
/// are closed, and requests in flight that take longer than the drain timeout are aborted.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    options: ServeOptions,
    shutdown: impl Future<Output = DrainEnd>,
) {
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
    server.waiting.close_all();
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.drain_timeout, finished).await.is_err() {
        tracing::warn!("requests that did not finish within the drain timeout were aborted");
    }
    connections.shutdown().await;
}

/// The listener, and the connections that it accepted.
struct Accepting {
    listener: TcpListener,
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
                accepted = self.listener.accept() => accepted,
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
            if let Err(error) = refuse(stream) {
                tracing::debug!(%error, "a client left before its connection was refused");
            }
            return;
        };
        // Otherwise a small reply may wait for the client's delayed acknowledgement.
        stream.set_nodelay(true).ok();
        let (handle, registration) = AbortHandle::new_pair();
        let connected = Arc::clone(&self.server).connect(stream, client.ip(), handle);
        let connection = async move {
            connected.await;
            drop(permit);
        };
        self.connections.spawn(Abortable::new(connection, registration));
    }

    /// A permit for one more connection; the one that has been idle longest gives way to it.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        if self.permits.available_permits() > 0 || self.server.waiting.close_longest_idle() {
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
    let error = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    stream.write_all(error.retry_after(1).to_last_reply().as_bytes())?;
    stream.shutdown(Shutdown::Write)
}
