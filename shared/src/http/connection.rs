//! One connection: its requests, its limits, and how it is closed.
//!
//! A reply says `Connection: close` when the rest of its request was not read, and when the process
//! is stopping. The connection knows no path; the router does.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::AbortHandle;
use hyper::{
    Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
};
use warp::http::StatusCode;

use super::{
    activity::Activity,
    compression::Compressing,
    options::ServeOptions,
    reply::HttpError,
    request::Connected,
    router::Routes,
    stream::ClientStream,
    waiting::{WaitLimits, WaitingConnections, Watch},
};

/// The largest size of a connection's read buffer, in bytes; it also limits a request's headers.
const BUFFER: usize = 64 << 10;
/// The first bytes of a client that speaks HTTP/2 without asking first.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the connections of a server share.
pub(super) struct Server {
    pub(super) waiting: Arc<WaitingConnections>,
    routes: Routes,
    options: ServeOptions,
    compressing: Compressing,
    stopping: AtomicBool,
}

/// The body of a request; notes when it was read to its end.
pub(super) struct ReceivedBody {
    body: Incoming,
    activity: Arc<Activity>,
}

/// The body of a reply; dropping it notes that the library has all of it.
struct SentBody<B> {
    body: B,
    activity: Arc<Activity>,
    _compressing: Option<OwnedSemaphorePermit>,
}

impl Server {
    pub(super) fn new(routes: Routes, options: ServeOptions) -> Self {
        let (waiting, compressing) = (Arc::default(), Compressing::default());
        Self { waiting, routes, options, compressing, stopping: AtomicBool::new(false) }
    }

    /// Makes every further reply the last one of its connection.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Serves `stream` until it ends, waits too long, or `handle` ends it.
    pub(super) async fn connect(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        client: IpAddr,
        handle: AbortHandle,
    ) {
        let ServeOptions { header_timeout, idle_timeout, write_timeout, .. } = self.options;
        let activity = Arc::new(Activity::default());
        let limits = WaitLimits { head: header_timeout, idle: idle_timeout };
        let waiting = Arc::clone(&self.waiting);
        let mut watch = Watch::new(waiting, Arc::clone(&activity), handle, limits);
        let stream = ClientStream::new(stream, write_timeout, Arc::clone(&activity));
        let routes = self.compressing.wrap(self.routes.clone());
        let service = service_fn(|request| self.answer(request, client, &routes, &activity));
        let mut connection = http1::Builder::new()
            .header_read_timeout(None::<Duration>)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let ended = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => watch.poll_expired(cx).map(Ok),
        });
        let Err(error) = ended.await else { return };
        // A client that disconnects early is not worth a line at the default level.
        tracing::debug!(%error, "a connection ended early");
        let parts = connection.into_parts();
        if parts.read_buf.starts_with(HTTP2)
            && let Err(error) = refuse_http2(parts.io.into_inner()).await
        {
            tracing::debug!(%error, "a client left before its connection was refused");
        }
    }

    fn answer<S, B>(
        &self,
        mut request: hyper::Request<Incoming>,
        client: IpAddr,
        routes: &S,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<SentBody<B>>, Infallible>>
    where
        S: Service<hyper::Request<ReceivedBody>, Response = Response<B>, Error = Infallible>,
    {
        activity.begun(request.body().is_end_stream());
        let (client, stopping) = (Some(client.to_canonical()), self.is_stopping());
        request.extensions_mut().insert(Connected { client, stopping, tls: false });
        let received = Arc::clone(activity);
        let reply = routes.call(request.map(|body| ReceivedBody { body, activity: received }));
        async move {
            let mut reply = reply.await?;
            if self.is_stopping() || !activity.is_body_read() {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let compressing = self.compressing.begin(&mut reply);
            let activity = Arc::clone(activity);
            Ok(reply.map(|body| SentBody { body, activity, _compressing: compressing }))
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

async fn refuse_http2(
    mut stream: ClientStream<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<()> {
    stream.write_all(http2_not_served().to_last_reply().as_bytes()).await?;
    stream.shutdown().await
}

/// The reply to a client that speaks HTTP/2.
pub(super) fn http2_not_served() -> HttpError {
    let message = "HTTP/2 is not served; use HTTP/1.1";
    HttpError::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http2_not_served", message)
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_ok = frame.as_ref().is_none_or(Result::is_ok);
        if is_ok && (frame.is_none() || self.body.is_end_stream()) {
            self.activity.body_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body + Unpin> Body for SentBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for SentBody<B> {
    fn drop(&mut self) {
        self.activity.answered();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::future::Abortable;
    use tokio::{
        io::{AsyncReadExt, DuplexStream, duplex},
        time::{Instant, advance},
    };
    use warp::Reply as _;

    use super::*;
    use crate::http::{
        right::Access,
        router::{Route, Router},
    };

    const REQUEST: &str = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";
    const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
    const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

    /// A client of a server that takes `pause` for a reply. The clock is paused: no time passes.
    fn client(pause: Duration) -> DuplexStream {
        let answer = move |_, _| async move {
            tokio::time::sleep(pause).await;
            "hello".into_response()
        };
        let routes = vec![Route::get("/hello", Access::Public, answer)];
        let routes = Router::default().with(&Arc::new(()), routes).into_filter().unwrap();
        let options = ServeOptions {
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            ..ServeOptions::default()
        };
        let (client, stream) = duplex(1 << 10);
        let (handle, registration) = AbortHandle::new_pair();
        let server = Arc::new(Server::new(routes, options));
        let connection = server.connect(stream, Ipv4Addr::LOCALHOST.into(), handle);
        tokio::spawn(Abortable::new(connection, registration));
        client
    }

    async fn reply(client: &mut DuplexStream) {
        let mut reply = Vec::new();
        while !reply.ends_with(b"hello") {
            assert!(client.read_buf(&mut reply).await.unwrap() > 0, "the connection was closed");
        }
    }

    /// The time until the server closes the connection.
    async fn until_closed(client: &mut DuplexStream) -> Duration {
        let begun = Instant::now();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        begun.elapsed()
    }

    /// Whether a connection ended after `limit`, in the resolution of the clock.
    fn is_after(waited: Duration, limit: Duration) -> bool {
        (limit..limit + Duration::from_millis(10)).contains(&waited)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_the_time_for_headers() {
        let waited = until_closed(&mut client(Duration::ZERO)).await;
        assert!(is_after(waited, HEADER_TIMEOUT), "{waited:?}");
        let mut half = client(Duration::ZERO);
        half.write_all(&REQUEST.as_bytes()[..20]).await.unwrap();
        let waited = until_closed(&mut half).await;
        assert!(is_after(waited, HEADER_TIMEOUT), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_request_is_followed_by_the_time_to_be_idle_each_time() {
        let mut client = client(Duration::ZERO);
        for _ in 0..3 {
            client.write_all(REQUEST.as_bytes()).await.unwrap();
            reply(&mut client).await;
            advance(IDLE_TIMEOUT - Duration::from_secs(1)).await;
        }
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        reply(&mut client).await;
        let waited = until_closed(&mut client).await;
        assert!(is_after(waited, IDLE_TIMEOUT), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_request_on_an_idle_connection_has_the_time_for_headers() {
        let mut client = client(Duration::ZERO);
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        reply(&mut client).await;
        advance(Duration::from_secs(60)).await;
        client.write_all(&REQUEST.as_bytes()[..20]).await.unwrap();
        let waited = until_closed(&mut client).await;
        assert!(is_after(waited, HEADER_TIMEOUT), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_may_take_longer_than_any_wait_for_a_client() {
        let mut client = client(10 * IDLE_TIMEOUT);
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        reply(&mut client).await;
        client.write_all([REQUEST, REQUEST].concat().as_bytes()).await.unwrap();
        reply(&mut client).await;
        reply(&mut client).await;
    }
}
