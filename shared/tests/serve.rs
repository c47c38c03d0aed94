//! The accept loop over real sockets: limits on clients, the shutdown, health and metrics.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    future::pending,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{
    http::{HttpError, Route, Router, ServeOptions, serve},
    telemetry::{self, Probes},
};
use test_support::connection::{Connection, LIMIT, ask, bare, request};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use warp::{Reply as _, http::StatusCode, reply::Response};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, options: ServeOptions) -> Self {
        let routes = router.into_filter().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, routes, options, async {
            stopped.await.ok();
        }));
        Self { address, stop, served }
    }

    /// Stops the server and waits until it has ended.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap();
    }
}

/// A router with one route, `GET /hello`.
fn at_hello<F>(answer: impl Fn() -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = Response> + Send + 'static,
{
    Router::default().with(&Arc::new(()), vec![Route::get("/hello", move |_, _| answer())])
}

fn hello() -> Router {
    at_hello(async || "hello".into_response())
}

/// Notifies `begun` when a request arrives, and replies when `free` is notified.
fn waiting(begun: &Arc<Notify>, free: &Arc<Notify>) -> Router {
    let (begun, free) = (Arc::clone(begun), Arc::clone(free));
    let answer = move || {
        let (begun, free) = (Arc::clone(&begun), Arc::clone(&free));
        async move {
            begun.notify_one();
            free.notified().await;
            "at last".into_response()
        }
    };
    at_hello(answer)
}

#[tokio::test]
async fn an_address_that_nobody_has_is_404_in_json() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let reply = ask(server.address, bare("GET", "/nothing")).await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn another_method_is_405_with_those_that_are_allowed() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    for method in ["POST", "DELETE", "OPTIONS"] {
        let reply = ask(server.address, request(method, "/hello", &[], "")).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn a_connection_too_many_hears_503_in_json_and_a_place_is_given_back() {
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut first = Connection::open(server.address).await;
    first.send(bare("GET", "/hello")).await;
    assert_eq!(first.reply().await.unwrap().status, 200);

    let refused = ask(server.address, bare("GET", "/hello")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), Some("1"));

    drop(first);
    let served = tokio::time::timeout(LIMIT, async {
        while ask(server.address, bare("GET", "/hello")).await.status != 200 {}
    });
    served.await.unwrap();
}

#[tokio::test]
async fn no_limit_on_connections_is_too_high_to_be_used() {
    let options = ServeOptions { max_connections: usize::MAX, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let options =
        ServeOptions { header_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    let mut slow = Connection::open(server.address).await;
    slow.send("GET /hello HTTP/1.1\r\nhost: te").await;
    assert!(slow.is_cut().await);
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_cut_off() {
    let options =
        ServeOptions { header_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    assert!(Connection::open(server.address).await.is_cut().await);
}

#[tokio::test]
async fn headers_that_are_too_long_are_refused() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let long = format!("x: {}", "x".repeat(1 << 20));
    let mut connection = Connection::open(server.address).await;
    connection.send_if_open(request("GET", "/hello", &[&long], "")).await;
    assert_eq!(connection.reply().await.unwrap().status, 431);
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_cut_off() {
    let endless = at_hello(async || vec![b'x'; 64 << 20].into_response());
    let options = ServeOptions {
        max_connections: 1,
        write_timeout: Duration::from_millis(50),
        ..ServeOptions::default()
    };
    let server = Server::start(endless, options).await;
    let mut deaf = Connection::open(server.address).await;
    deaf.send(bare("GET", "/hello")).await;
    // Another client can connect only after this one was disconnected.
    let served =
        tokio::time::timeout(LIMIT, async { while ask_head(server.address).await != 200 {} });
    served.await.unwrap();
}

async fn ask_head(address: SocketAddr) -> u16 {
    let mut connection = Connection::open(address).await;
    connection.send(bare("HEAD", "/hello")).await;
    connection.reply_to_head().await.unwrap().status
}

#[tokio::test]
async fn who_is_answered_while_it_still_sends_is_listened_to_a_moment_more() {
    let refuse =
        async |_, _| HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "no").to_response();
    let refuse = vec![Route::post("/hello", refuse)];
    let refuse = Router::default().with(&Arc::new(()), refuse);
    let server = Server::start(refuse, ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send("POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\nbegin")
        .await;
    assert_eq!(connection.reply().await.unwrap().status, 413);
    assert!(connection.is_cut().await);
    // After a reset the second write would fail; on some systems a reset also discards the reply.
    for _ in 0..10 {
        connection.send("more").await;
    }
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    let three = ["/hello", "/nothing", "/hello"].map(|path| bare("GET", path)).concat();
    connection.send(three).await;
    for status in [200, 404, 200] {
        assert_eq!(connection.reply().await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop() {
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Server::start(waiting(&begun, &free), ServeOptions::default()).await;
    let mut connection = Connection::open(server.address).await;
    connection.send(bare("GET", "/hello")).await;
    begun.notified().await;
    let stopped = tokio::spawn(server.stop());
    tokio::task::yield_now().await;
    free.notify_one();
    assert_eq!(connection.reply().await.unwrap().text(), "at last");
    drop(connection);
    stopped.await.unwrap();
}

#[tokio::test]
async fn after_the_stop_nobody_is_let_in() {
    let (begun, free) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Server::start(waiting(&begun, &free), ServeOptions::default()).await;
    let address = server.address;
    let mut connection = Connection::open(address).await;
    connection.send(bare("GET", "/hello")).await;
    begun.notified().await;
    let stopped = tokio::spawn(server.stop());
    let refused = tokio::time::timeout(LIMIT, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.unwrap();
    assert!(!stopped.is_finished());
    free.notify_one();
    drop(connection);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_does_not_hold_up_the_stop() {
    let server = Server::start(hello(), ServeOptions::default()).await;
    let mut idle = Connection::open(server.address).await;
    idle.send(bare("GET", "/hello")).await;
    idle.reply().await.unwrap();
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(idle.is_cut().await);
}

#[tokio::test]
async fn what_is_not_done_in_time_is_cut_and_does_nothing_more() {
    let begun = Arc::new(Notify::new());
    let held = Arc::new(());
    let routes = {
        let (begun, held) = (Arc::clone(&begun), Arc::downgrade(&held));
        let answer = move || {
            let (begun, held) = (Arc::clone(&begun), held.upgrade());
            async move {
                begun.notify_one();
                pending::<()>().await;
                drop(held);
                "never".into_response()
            }
        };
        at_hello(answer)
    };
    let options =
        ServeOptions { drain_timeout: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(routes, options).await;
    let mut connection = Connection::open(server.address).await;
    connection.send(bare("GET", "/hello")).await;
    begun.notified().await;
    assert_eq!(Arc::strong_count(&held), 2);
    server.stop().await;
    assert_eq!(Arc::strong_count(&held), 1, "the request still runs");
    assert!(connection.is_cut().await);
}

fn probes<F>(ready: impl Fn() -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let registry = telemetry::registry("none").unwrap();
    Router::default().with(&Probes::new(registry, ready), telemetry::routes())
}

fn reporting(ready: Result<(), String>) -> Router {
    probes(move || std::future::ready(ready.clone()))
}

#[tokio::test]
async fn every_metric_has_its_help_and_its_type() {
    let server = Server::start(reporting(Ok(())), ServeOptions::default()).await;
    let reply = ask(server.address, bare("GET", "/metrics")).await;
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let named = |word: &str| -> BTreeSet<String> {
        let lines = reply.text().lines().filter_map(|line| line.strip_prefix(word));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let (helped, typed) = (named("# HELP "), named("# TYPE "));
    let series = reply.text().lines().filter(|line| !line.starts_with('#'));
    let shown: BTreeSet<_> =
        series.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect();
    assert!(
        shown.contains("bookend_build_info") && shown.contains("process_resident_memory_bytes")
    );
    assert_eq!((&helped, &typed), (&shown, &shown));
}

#[tokio::test]
async fn a_process_that_cannot_serve_says_why_and_lives() {
    let server =
        Server::start(reporting(Err("the disk is full".to_owned())), ServeOptions::default()).await;
    let ready = ask(server.address, bare("GET", "/readyz")).await;
    assert_eq!((ready.status, ready.text()), (503, "the disk is full\n"));
    let live = ask(server.address, bare("GET", "/livez")).await;
    assert_eq!((live.status, live.text()), (200, "live\n"));
}

#[tokio::test]
async fn a_process_that_can_serve_says_so() {
    let server = Server::start(reporting(Ok(())), ServeOptions::default()).await;
    let ready = ask(server.address, bare("GET", "/readyz")).await;
    assert_eq!((ready.status, ready.text()), (200, "ready\n"));
}

#[tokio::test]
async fn whether_a_process_lives_is_told_though_nothing_it_depends_on_answers() {
    let server = Server::start(probes(pending), ServeOptions::default()).await;
    assert_eq!(ask(server.address, bare("GET", "/livez")).await.status, 200);
}

#[tokio::test]
async fn a_probe_may_ask_for_the_head_alone() {
    let server = Server::start(reporting(Ok(())), ServeOptions::default()).await;
    for path in ["/metrics", "/livez", "/readyz", "/metrics/", "/livez/", "/readyz/"] {
        let mut connection = Connection::open(server.address).await;
        connection.send([bare("HEAD", path), bare("GET", "/livez")].concat()).await;
        assert_eq!(connection.reply_to_head().await.unwrap().status, 200, "{path}");
        assert_eq!(connection.reply().await.unwrap().text(), "live\n", "{path}");
    }
}
