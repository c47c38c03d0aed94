//! HTTP/2 by prior knowledge: many requests at once on one connection, its limits, and the
//! shutdown.

use std::time::Duration;

use h2::{
    Reason, SendStream,
    client::{ResponseFuture, SendRequest},
};
use hyper::body::Bytes;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use warp::http::{self, HeaderMap, StatusCode};

use super::*;

/// The headers of a request, beside those that it always has.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// A client of HTTP/2 with one connection.
pub(super) struct Client {
    sending: SendRequest<Bytes>,
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(super) async fn open(address: SocketAddr) -> Self {
        Self::with_window(address, 1 << 20).await
    }

    /// The server may send this many bytes of a reply before the client reads them.
    pub(super) async fn with_window(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (sending, connection) =
            builder.initial_window_size(window).handshake(stream).await.unwrap();
        Self { sending, connection: tokio::spawn(connection) }
    }

    pub(super) async fn send(&mut self, method: &str, path: &str) -> ResponseFuture {
        self.send_head(method, path, &[], true).await.0
    }

    /// Sends `GET path` with `headers`.
    pub(super) async fn ask_with(&mut self, path: &str, headers: Headers<'_>) -> ResponseFuture {
        self.send_head("GET", path, headers, true).await.0
    }

    /// Sends a request without its body.
    pub(super) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.send_head(method, path, headers, false).await
    }

    async fn send_head(
        &mut self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
        is_all: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("http://host.test{path}");
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let ready = timeout(LIMIT, self.sending.clone().ready()).await.unwrap();
        ready.unwrap().send_request(request.body(()).unwrap(), is_all).unwrap()
    }

    /// Waits until the server has said that it takes no further request.
    pub(super) async fn until_it_takes_no_more(&self) {
        let refused = timeout(LIMIT, async {
            while self.sending.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        refused.await.unwrap();
    }

    async fn ask(&mut self, method: &str, path: &str) -> (u16, HeaderMap, Bytes) {
        let reply = self.send(method, path).await;
        read(reply).await.unwrap()
    }
}

/// A whole reply.
pub(super) async fn read(reply: ResponseFuture) -> Result<(u16, HeaderMap, Bytes), h2::Error> {
    timeout(LIMIT, async {
        let (head, mut body) = reply.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(some) = body.data().await {
            let some = some?;
            body.flow_control().release_capacity(some.len())?;
            bytes.extend(some);
        }
        Ok((head.status.as_u16(), head.headers, bytes.into()))
    })
    .await
    .unwrap()
}

/// `GET /hello` echoes the header Host.
fn echo() -> Router {
    let host = Route::get("/hello", Access::Public, async |_, request: Request| {
        request.headers["host"].to_str().unwrap().to_owned().into_response()
    });
    Router::default().with(&Arc::new(()), vec![host])
}

#[tokio::test]
async fn http2_is_served_to_who_begins_with_it() {
    let server = Server::start(echo(), ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    let (status, headers, body) = client.ask("GET", "/hello").await;
    assert_eq!((status, &body[..]), (200, &b"host.test"[..]));
    assert_eq!(headers["content-length"], "9");
    let (status, headers, body) = client.ask("HEAD", "/hello").await;
    assert_eq!((status, &headers["content-length"], &body[..]), (200, &9.into(), &b""[..]));
    assert_eq!(client.ask("HEAD", "/nothing").await.0, 404);
    let (status, headers, body) = client.ask("GET", "/nothing").await;
    assert_eq!((status, &headers["content-type"]), (404, &"application/json".parse().unwrap()));
    assert!(body.starts_with(br#"{"error":{"code":"not_found""#));
}

#[tokio::test]
async fn nobody_makes_the_server_a_proxy_or_has_a_request_echoed() {
    let server = Server::start(echo(), ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    assert_eq!(client.ask("TRACE", "/hello").await.0, 405);
    let uri = "elsewhere.test:443";
    let connect = http::Request::builder().method("CONNECT").uri(uri).body(()).unwrap();
    let ready = client.sending.clone().ready().await.unwrap();
    let reply = { ready }.send_request(connect, true).unwrap().0;
    assert_eq!(read(reply).await.unwrap().0, 405);
    for head in ["TRACE /hello", "CONNECT elsewhere.test:443"] {
        let reply = ask(server.address, format!("{head} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{head}");
    }
}

#[tokio::test]
async fn an_upgrade_to_http2_is_ignored() {
    let server = Server::start(echo(), ServeOptions::default()).await;
    let headers =
        ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"];
    let mut connection = Connection::open(server.address).await;
    for _ in 0..2 {
        connection.send(request("GET", "/hello", &headers, "")).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "test"));
    }
}

#[tokio::test]
async fn a_connection_answers_many_requests_at_once() {
    const AT_ONCE: usize = 100;
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(tokio::sync::Semaphore::new(0)));
    let router = {
        let (begun, free) = (Arc::clone(&begun), Arc::clone(&free));
        at_hello(move || {
            let (begun, free) = (Arc::clone(&begun), Arc::clone(&free));
            async move {
                begun.notify_one();
                let _permit = free.acquire().await.unwrap();
                "at last".into_response()
            }
        })
    };
    let server = Server::start(router, ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    let mut replies = JoinSet::new();
    for _ in 0..AT_ONCE {
        let reply = client.send("GET", "/hello").await;
        replies.spawn(read(reply));
        timeout(LIMIT, begun.notified()).await.unwrap();
    }
    free.add_permits(1);
    for reply in replies.join_all().await {
        assert_eq!(reply.unwrap().2, "at last");
    }
}

#[tokio::test]
async fn each_connection_has_a_place_and_all_share_as_many_as_connections_may_be() {
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let options = ServeOptions { max_connections: 2, ..ServeOptions::default() };
    let server = Server::start(waiting(&begun, &free), options).await;
    let mut client = Client::open(server.address).await;
    let mut replies = Vec::new();
    for _ in 0..3 {
        replies.push(client.send("GET", "/hello").await);
        timeout(LIMIT, begun.notified()).await.unwrap();
    }
    let (status, headers, body) = client.ask("GET", "/hello").await;
    assert_eq!((status, &headers["retry-after"], &body[..]), (503, &1.into(), &b""[..]));
    for name in ["x-request-id", "x-content-type-options", "referrer-policy", "vary"] {
        assert!(headers.contains_key(name), "{name}");
    }
    assert!(!headers.contains_key("content-type"));
    assert_eq!(ask(server.address, bare("GET", "/nothing")).await.status, 404);
    for reply in replies {
        free.notify_one();
        assert_eq!(read(reply).await.unwrap().0, 200);
    }
    assert_eq!(client.ask("GET", "/nothing").await.0, 404);
}

#[tokio::test]
async fn a_request_of_http2_names_its_connection_so_that_its_share_is_limited() {
    let router =
        on_request(async |request| format!("{:?}", request.connected.many).into_response());
    let server = Server::start(router, ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    let name = client.ask("GET", "/hello").await.2;
    assert_eq!(client.ask("GET", "/hello").await.2, name);
    let mut other = Client::open(server.address).await;
    assert_ne!(other.ask("GET", "/hello").await.2, name);
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.text(), "None");
}

#[tokio::test]
async fn a_request_that_is_reset_is_not_answered_any_more() {
    let held = Arc::new(());
    let router = {
        let held = Arc::downgrade(&held);
        at_hello(move || {
            let held = held.upgrade();
            async move {
                pending::<()>().await;
                drop(held);
                "never".into_response()
            }
        })
    };
    let server = Server::start(router, ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    let reply = client.send("GET", "/hello").await;
    test_support::connection::until(|| Arc::strong_count(&held) == 2).await;
    drop(reply);
    test_support::connection::until(|| Arc::strong_count(&held) == 1).await;
}

#[tokio::test]
async fn a_refusal_before_the_body_is_followed_by_a_reset_without_error() {
    let server = Server::start(echo(), ServeOptions::default()).await;
    let mut client = Client::open(server.address).await;
    let (reply, mut body) = client.begin("POST", "/nothing", &[]).await;
    assert_eq!(read(reply).await.unwrap().0, 404);
    let reset = timeout(LIMIT, std::future::poll_fn(|cx| body.poll_reset(cx))).await.unwrap();
    assert_eq!(reset.unwrap(), Reason::NO_ERROR);
    assert_eq!(client.ask("GET", "/hello").await.0, 200);
}

#[tokio::test]
async fn a_reply_that_its_client_does_not_read_is_reset_and_others_go_on() {
    let long = at_hello(async || vec![b'x'; 1 << 20].into_response());
    let options =
        ServeOptions { write_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(long, options).await;
    let mut client = Client::with_window(server.address, 1).await;
    let unread = client.send("GET", "/hello").await;
    let (head, mut body) = timeout(LIMIT, unread).await.unwrap().unwrap().into_parts();
    assert_eq!(head.status, StatusCode::OK);
    let reset = timeout(LIMIT, async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    });
    assert_eq!(reset.await.unwrap(), Some(Reason::CANCEL));
    assert_eq!(client.ask("HEAD", "/hello").await.0, 200);
}

#[tokio::test]
async fn replies_that_their_clients_do_not_read_are_limited() {
    const LENGTH: usize = 100 << 10;
    let long = at_hello(async || vec![b'x'; LENGTH].into_response());
    let options = ServeOptions { max_reply_bytes: 4 * LENGTH, ..ServeOptions::default() };
    let server = Server::start(long, options).await;
    let mut client = Client::with_window(server.address, 1).await;
    // Three quarters are for long replies.
    let mut unread = Vec::new();
    for _ in 0..3 {
        let reply = client.send("GET", "/hello").await;
        unread.push(timeout(LIMIT, reply).await.unwrap().unwrap());
    }
    assert!(unread.iter().all(|reply| reply.status() == StatusCode::OK));
    let (status, headers, _) = client.ask("GET", "/hello").await;
    assert_eq!((status, &headers["retry-after"]), (503, &1.into()));
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.status, 503);
    assert_eq!(ask(server.address, bare("GET", "/nothing")).await.status, 404);
    drop(unread);
    timeout(LIMIT, async {
        while ask(server.address, bare("GET", "/hello")).await.status == 503 {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stop_says_goaway_with_the_next_reply() {
    let options = ServeOptions { drain_window: Duration::MAX, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut client = Client::open(server.address).await;
    assert_eq!(client.ask("GET", "/hello").await.0, 200);
    let (hurry, hurried) = oneshot::channel::<()>();
    let window = DrainEnd::when(async {
        hurried.await.ok();
    });
    server.stop.send(window).ok().unwrap();
    // Later replies of HTTP/1.1 say that they are the last.
    let stopped = timeout(LIMIT, async {
        while ask(server.address, bare("GET", "/hello")).await.header("connection").is_none() {}
    });
    stopped.await.unwrap();
    assert_eq!(client.ask("GET", "/hello").await.2, "hello");
    let outcome = timeout(LIMIT, client.connection).await.unwrap().unwrap();
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(!server.served.is_finished());
    hurry.send(()).unwrap();
    ended(server.served).await;
}

#[tokio::test]
async fn the_end_of_the_drain_window_says_goaway_to_a_connection_that_is_idle_or_busy() {
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Server::start(waiting(&begun, &free), ServeOptions::default()).await;
    let (mut idle, mut busy) =
        (Client::open(server.address).await, Client::open(server.address).await);
    assert_eq!(idle.ask("GET", "/nothing").await.0, 404);
    let reply = busy.send("GET", "/hello").await;
    timeout(LIMIT, begun.notified()).await.unwrap();
    server.stop.send(DrainEnd::at_once()).ok().unwrap();
    let outcome = timeout(LIMIT, idle.connection).await.unwrap().unwrap();
    assert!(outcome.is_ok(), "{outcome:?}");
    // The busy connection takes no further request, and completes the one that it has.
    busy.until_it_takes_no_more().await;
    free.notify_one();
    assert_eq!(read(reply).await.unwrap().2, "at last");
    ended(server.served).await;
}
