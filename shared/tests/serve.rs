//! The accept loop over real sockets: HTTP/1.1, HTTP/2 and TLS, limits on clients, the shutdown,
//! compression, health and metrics.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, future::pending, net::SocketAddr, sync::Arc};

use shared::{
    http::{Access, DrainEnd, Listener, Request, Route, Router, ServeOptions, serve},
    telemetry::{self, Probes},
};
use test_support::connection::{Connection, LIMIT, ask, bare, request};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use warp::{Reply as _, reply::Response};

#[path = "serve/attacks.rs"]
mod attacks;
#[path = "serve/balancer.rs"]
mod balancer;
#[path = "serve/compression.rs"]
mod compression;
#[path = "serve/headers.rs"]
mod headers;
#[path = "serve/http2.rs"]
mod http2;
#[path = "serve/limits.rs"]
mod limits;
#[path = "serve/stopping.rs"]
mod stopping;
#[path = "serve/strangers.rs"]
mod strangers;
#[path = "serve/tls.rs"]
mod tls;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<DrainEnd>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, options: ServeOptions) -> Self {
        Self::start_with(router, options, Listener::from).await
    }

    /// The same with a listener made of a TCP port.
    async fn start_with(
        router: Router,
        options: ServeOptions,
        listener: impl FnOnce(TcpListener) -> Listener,
    ) -> Self {
        let routes = router.into_filter().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = port.local_addr().unwrap();
        let listener = listener(port);
        let (stop, stopped) = oneshot::channel::<DrainEnd>();
        let served = tokio::spawn(serve(listener, routes, options, async {
            stopped.await.unwrap_or_else(|_dropped| DrainEnd::at_once())
        }));
        Self { address, stop, served }
    }

    /// Stops the server without a drain window, and waits until it has ended.
    async fn stop(self) {
        self.stop.send(DrainEnd::at_once()).ok().unwrap();
        ended(self.served).await;
    }
}

async fn ended(served: JoinHandle<()>) {
    tokio::time::timeout(LIMIT, served).await.unwrap().unwrap();
}

/// A router with one route, `GET /hello`.
fn at_hello<F>(answer: impl Fn() -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = Response> + Send + 'static,
{
    on_request(move |_| answer())
}

/// The same for a reply that depends on the request.
fn on_request<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = Response> + Send + 'static,
{
    let route = Route::get("/hello", Access::Public, move |_, request| answer(request));
    Router::default().with(&Arc::new(()), vec![route])
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
    for method in ["POST", "DELETE", "TRACE"] {
        let reply = ask(server.address, request(method, "/hello", &[], "")).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
    let reply = ask(server.address, bare("OPTIONS", "/hello")).await;
    assert_eq!((reply.status, reply.header("allow")), (204, Some("GET, HEAD")));
    assert_eq!(ask(server.address, bare("OPTIONS", "/nothing")).await.status, 404);
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
