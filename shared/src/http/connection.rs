//! One connection: its requests, its limits, and how it is closed.
//!
//! With HTTP/1.1 a reply says `Connection: close` when the rest of its request was not read, and
//! when the process is stopping. With HTTP/2 the connection says GOAWAY when the process is
//! stopping. The connection knows no path; the router does.

use std::{
    convert::Infallible,
    error::Error,
    future::{pending, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::future::AbortHandle;
use hyper::{
    Method, Response, Version,
    body::{Body, Bytes, Incoming},
    header::{CONNECTION, HeaderValue},
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{sync::watch, time::Instant};

use super::{
    activity::Activity,
    compression::Compressing,
    options::ServeOptions,
    places::Admission,
    received::{ReceivedBody, complete},
    request::{Connected, ConnectionId},
    router::Routes,
    sent::{self, Length, ReplyBytes, SentBody, UnderWay},
    shared_limit::SharedLimit,
    stream::{ClientStream, Transport},
    streams::{Begun, Streams},
    waiting::{WaitLimits, WaitingConnections, Watch},
};
use crate::tls::Tls;

/// The largest size of a connection's read buffer, in bytes; it also limits a request's headers.
const BUFFER: usize = 64 << 10;
/// The bytes that a client of HTTP/2 may send before they are read, of a request and of all.
const WINDOW: u32 = 64 << 10;
/// The requests that a client of HTTP/2 may send at once.
const STREAMS: u32 = 100;
/// The bytes of a reply that the library takes before a client of HTTP/2 lets it send them.
const SEND_BUFFER: usize = 16 << 10;

/// The requests of HTTP/2 that may be answered before their bodies are read; then the connection
/// ends gracefully. The library resets the streams of these, ignores what the client still sends on
/// the last 50, and ends the connection at once, with all of its requests, after 1,024 frames on
/// older ones. A client may have four full frames of a body on the way.
const MAX_UNREAD: usize = 128;

/// What the connections of a server share.
pub(super) struct Server {
    pub(super) waiting: Arc<WaitingConnections>,
    routes: Routes,
    options: ServeOptions,
    compressing: Compressing,
    replies: ReplyBytes,
    /// The places of requests beside those that each connection has of its own.
    places: SharedLimit,
    /// The number of connections so far.
    connections: AtomicU64,
    stopping: AtomicBool,
    /// Whether the drain window has ended.
    closed: watch::Sender<bool>,
}

/// What the requests of a connection share.
struct Connection {
    id: ConnectionId,
    server: Arc<Server>,
    activity: Arc<Activity>,
    admission: Admission,
    /// The number of requests whose bodies were not read to their end.
    unread: AtomicUsize,
    client: IpAddr,
    is_encrypted: bool,
}

impl Server {
    pub(super) fn new(routes: Routes, options: ServeOptions) -> Self {
        Self {
            waiting: Arc::default(),
            routes,
            options,
            compressing: Compressing::default(),
            replies: ReplyBytes::new(options.max_reply_bytes),
            places: SharedLimit::new(options.max_connections),
            connections: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            closed: watch::Sender::new(false),
        }
    }

    /// Makes every further reply the last one of its connection.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Closes every connection once its requests are answered.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        self.waiting.close_all();
    }

    /// Serves `stream` until it ends, waits too long, or `handle` ends it.
    pub(super) async fn connect(
        self: Arc<Self>,
        stream: impl Transport + 'static,
        tls: Option<Arc<Tls>>,
        client: IpAddr,
        handle: AbortHandle,
    ) {
        let ServeOptions { header_timeout, idle_timeout, .. } = self.options;
        let activity = Arc::new(Activity::new(Instant::now()));
        let limits = WaitLimits { head: header_timeout, idle: idle_timeout };
        let waiting = Arc::clone(&self.waiting);
        let mut watch = Watch::new(waiting, Arc::clone(&activity), handle, limits);
        let is_encrypted = tls.is_some();
        let id = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let server = Arc::clone(&self);
        let admission = Admission::new(Arc::clone(&activity), self.places.clone());
        let unread = AtomicUsize::new(0);
        let connection =
            Connection { id, server, activity, admission, unread, client, is_encrypted };
        let ended = match tls {
            None => connection.serve(Box::new(stream), None, &mut watch).await,
            Some(tls) => {
                let (accepted, authorities) = tls.accept(stream);
                match watch.within(accepted).await {
                    Ok(stream) => {
                        connection.serve(Box::new(stream), Some(authorities), &mut watch).await
                    }
                    Err(error) => Err(error.into()),
                }
            }
        };
        if let Err(error) = ended {
            // A client that disconnects early is not worth a line at the default level.
            tracing::debug!(%error, "a connection ended early");
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Serves the requests on `stream`. It takes no more of them after the end of the drain window,
    /// and after `authorities` change.
    async fn serve(
        self,
        stream: Box<dyn Transport>,
        authorities: Option<watch::Receiver<u64>>,
        watch: &mut Watch,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let this = Arc::new(self);
        let (server, activity) = (&this.server, &this.activity);
        let write_timeout = server.options.write_timeout;
        let stream = ClientStream::new(stream, write_timeout, Arc::clone(activity));
        let begun = Begun::default();
        let mut streams = Streams::new(begun.clone(), write_timeout);
        let (mut closed, is_encrypted) = (server.closed.subscribe(), authorities.is_some());
        let mut closed = pin!(async move { closed.wait_for(|closed| *closed).await.is_ok() });
        let mut replaced = pin!(replaced(authorities));
        let routes = server.compressing.wrap(server.routes.clone());
        let answering = Arc::clone(&this);
        let service = service_fn(move |request| answering.answer(request, &routes));
        let builder = protocols(begun);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut leaves = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                streams.poll(cx);
                if !leaves {
                    let is_told = activity.is_leaving()
                        || activity.is_http2() && closed.as_mut().poll(cx).is_ready()
                        || is_encrypted && replaced.as_mut().poll(cx).is_ready();
                    if is_told {
                        leaves = true;
                        activity.leave();
                        serving.as_mut().graceful_shutdown();
                        continue;
                    }
                }
                return watch.poll_expired(cx).map(Ok);
            }
        })
        .await
    }

    fn answer<S, B>(
        self: &Arc<Self>,
        mut request: hyper::Request<Incoming>,
        routes: &S,
    ) -> impl Future<Output = Result<Response<SentBody<B>>, Infallible>> + Send + use<S, B>
    where
        S: Service<
                hyper::Request<ReceivedBody>,
                Response = Response<B>,
                Error = Infallible,
                Future: Send,
            >,
        B: Body<Data = Bytes> + Unpin,
    {
        let this = Arc::clone(self);
        let under_way = UnderWay::begin(&this.activity);
        let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let is_http2 = request.version() == Version::HTTP_2;
        // The library leaves out the body of HTTP/1.1 only.
        let is_bodiless = is_http2 && request.method() == Method::HEAD;
        complete(&mut request);
        let (client, stopping) = (Some(this.client.to_canonical()), this.server.is_stopping());
        let (tls, many) = (this.is_encrypted, is_http2.then_some(this.id));
        request.extensions_mut().insert(Connected { client, stopping, tls, many });
        request.extensions_mut().insert(this.admission.clone());
        let reply = {
            let is_read = Arc::clone(&is_read);
            routes.call(request.map(|body| ReceivedBody::new(body, is_read)))
        };
        async move {
            let mut reply = this.sent(reply.await?, under_way);
            if is_bodiless {
                SentBody::leave_out(&mut reply);
            }
            let is_read = is_read.load(Ordering::Relaxed);
            if this.is_last(is_http2, is_read) {
                if is_http2 {
                    this.activity.leave();
                } else {
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
            Ok(reply)
        }
    }

    /// Whether the connection ends with a reply, whose request was read to its end or not.
    fn is_last(&self, is_http2: bool, is_read: bool) -> bool {
        let is_one_too_many = !is_read
            && (!is_http2 || self.unread.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_UNREAD);
        is_one_too_many || self.server.is_stopping()
    }

    /// The reply of a route as it is sent.
    fn sent<B: Body<Data = Bytes>>(
        &self,
        mut reply: Response<B>,
        mut under_way: UnderWay,
    ) -> Response<SentBody<B>> {
        let is_stranger = under_way.keep_place(&mut reply);
        let length = reply.extensions_mut().remove().unwrap_or_else(|| Length::of(&reply));
        let Some(held) = self.server.replies.hold(length, is_stranger) else {
            let error = sent::too_many_replies();
            return SentBody::refuse(reply.map(drop), &error, under_way);
        };
        let compressing = self.server.compressing.begin(&mut reply, is_stranger);
        reply.map(|body| SentBody::new(body, held, compressing, under_way))
    }
}

/// Completes when the client CA certificates are others than when the connection began.
async fn replaced(authorities: Option<watch::Receiver<u64>>) {
    if let Some(mut authorities) = authorities
        && authorities.changed().await.is_ok()
    {
        return;
    }
    pending().await
}

/// HTTP/1.1 and HTTP/2, within the limits of a connection.
fn protocols(begun: Begun) -> auto::Builder<Begun> {
    let mut builder = auto::Builder::new(begun);
    builder.http1().header_read_timeout(None::<Duration>).max_buf_size(BUFFER);
    builder
        .http2()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER);
    builder
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::future::Abortable;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::advance,
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
        let connection = server.connect(stream, None, Ipv4Addr::LOCALHOST.into(), handle);
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

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingping";
    /// The headers of `GET /hello`.
    const HEADERS: &[u8] = b"\x82\x86\x04\x06/hello\x41\x04test";
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    /// The headers of a request on the stream `stream`.
    fn headers(stream: u8, flags: u8) -> Vec<u8> {
        let length = u8::try_from(HEADERS.len()).unwrap();
        [&[0, 0, length, 1, flags, 0, 0, 0, stream], HEADERS].concat()
    }

    /// Sends `repeated` every five seconds until the connection is closed; the time until then.
    async fn until_closed_though(client: DuplexStream, repeated: &'static [u8]) -> Duration {
        let begun = Instant::now();
        let (mut replies, mut requests) = tokio::io::split(client);
        tokio::spawn(async move {
            while requests.write_all(repeated).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        tokio::io::copy(&mut replies, &mut tokio::io::sink()).await.ok();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_of_http2_has_the_time_for_headers_whatever_else_is_sent() {
        let mut client = client(Duration::ZERO);
        client.write_all(PREFACE).await.unwrap();
        let waited = until_closed_though(client, PING).await;
        assert!(is_after(waited, HEADER_TIMEOUT), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_of_http2_is_closed_whatever_else_is_sent() {
        let mut client = client(Duration::ZERO);
        client.write_all(PREFACE).await.unwrap();
        client.write_all(&headers(1, END_STREAM | END_HEADERS)).await.unwrap();
        reply(&mut client).await;
        let waited = until_closed_though(client, PING).await;
        assert!(is_after(waited, IDLE_TIMEOUT), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn headers_of_http2_that_do_not_end_have_their_time_also_while_a_request_is_answered() {
        const CONTINUATION: &[u8] = b"\0\0\0\x09\0\0\0\0\x03";
        for pause in [Duration::ZERO, 10 * IDLE_TIMEOUT] {
            let mut client = client(pause);
            client.write_all(PREFACE).await.unwrap();
            client.write_all(&headers(1, END_STREAM | END_HEADERS)).await.unwrap();
            advance(Duration::from_secs(60)).await;
            client.write_all(&headers(3, END_STREAM)).await.unwrap();
            let waited = until_closed_though(client, CONTINUATION).await;
            assert!(is_after(waited, HEADER_TIMEOUT), "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_of_http2_may_take_longer_than_any_wait_for_a_client() {
        let mut client = client(10 * IDLE_TIMEOUT);
        client.write_all(PREFACE).await.unwrap();
        for stream in [1, 3] {
            client.write_all(&headers(stream, END_STREAM | END_HEADERS)).await.unwrap();
            reply(&mut client).await;
        }
    }
}
