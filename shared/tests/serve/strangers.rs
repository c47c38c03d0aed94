//! Strangers, who have no key of a service that asks for one: they cannot take the places, the
//! replies and the connections of others.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use h2::Reason;
use shared::{
    access::{KeyHash, Keys, generate},
    http::{Gate, of_shared_bytes},
};
use test_support::connection::until;
use tokio::time::timeout;
use warp::http::header::CONTENT_TYPE;

use super::{
    http2::{Client, read},
    *,
};

const ORIGIN: &str = "https://game.example";
/// The length of a reply, which takes several pieces.
const LENGTH: usize = 100 << 10;

/// A server that asks for keys, and the header with one of them.
struct Guarded {
    server: Server,
    key: String,
    /// The number of requests for `/wait` and `/body` that are being answered.
    under_way: Arc<AtomicUsize>,
    free: Arc<Notify>,
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(number: &Arc<AtomicUsize>) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(number))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guarded {
    /// `POST /body` reads a body to its end and is for all, `GET /wait` waits for `free`. `/long`
    /// has a reply of its own each time, `/file` the same each time; both are for all.
    async fn start(options: ServeOptions) -> Self {
        let key = generate(&"reader".parse().unwrap()).unwrap().reveal().to_owned();
        let hash = KeyHash::of(key.as_bytes());
        let file = tempfile::NamedTempFile::new().unwrap();
        let entry = format!("[[key]]\nid = \"reader\"\nsha256 = \"{hash}\"\nrights = [\"read\"]\n");
        std::fs::write(&file, entry + &format!("origins = [\"{ORIGIN}\"]\n")).unwrap();
        let gate = Gate::default().with_keys(Arc::new(Keys::open(file.path()).unwrap()));
        let (under_way, free) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (reading, waiting) = (Arc::clone(&under_way), Arc::clone(&under_way));
        let body = Route::post("/body", Access::Public, move |_, request: Request| {
            let under_way = UnderWay::begin(&reading);
            async move {
                request.body.for_each(async |_| {}).await;
                drop(under_way);
                "read".into_response()
            }
        });
        let wait = Route::get("/wait", Access::ReadUser, move |free: Arc<Notify>, _| {
            let under_way = UnderWay::begin(&waiting);
            async move {
                free.notified().await;
                drop(under_way);
                "at last".into_response()
            }
        });
        let hello = Route::get("/hello", Access::ReadUser, async |_, _| long());
        let public = Route::get("/long", Access::Public, async |_, _| long());
        let file = Route::get("/file", Access::Public, async |_, _| of_shared_bytes(long()));
        let router = Router::default().with(&free, vec![body, wait, hello, public, file]);
        let server = Server::start(router.behind(Arc::new(gate)), options).await;
        Self { server, key, under_way, free }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A request with the key.
    fn keyed(&self, path: &str) -> Vec<u8> {
        request("GET", path, &[&format!("x-api-key: {}", self.key)], "")
    }

    async fn until_under_way(&self, number: usize) {
        until(|| self.under_way.load(Ordering::Relaxed) == number).await;
    }
}

fn long() -> Response {
    let mut reply = vec![b' '; LENGTH].into_response();
    reply.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    reply
}

#[tokio::test]
async fn strangers_that_send_no_body_take_a_quarter_of_the_places_and_others_are_answered() {
    const PLACES: usize = 8;
    let options = ServeOptions { max_connections: PLACES, ..ServeOptions::default() };
    let guarded = Guarded::start(options).await;
    let (mut strangers, mut open, mut refused) = (Vec::new(), Vec::new(), FuturesUnordered::new());
    for _ in 0..3 {
        // A reply that has a body is never taken.
        let mut stranger = Client::with_window(guarded.address(), 0).await;
        for _ in 0..10 {
            let (reply, body) = stranger.begin("POST", "/body", &[("origin", ORIGIN)]).await;
            open.push(body);
            refused.push(reply);
        }
        strangers.push(stranger);
    }
    // Each connection has a place, and all together have two of those that they share.
    guarded.until_under_way(5).await;
    for _ in 0..25 {
        let reply = timeout(LIMIT, refused.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(reply.status(), 503);
        assert!(reply.body().is_end_stream(), "the refusal has a body");
        let headers = reply.headers();
        assert_eq!(headers["access-control-allow-origin"], ORIGIN);
        assert_eq!(headers["retry-after"], "1");
        for name in ["x-request-id", "x-content-type-options", "referrer-policy", "vary"] {
            assert!(headers.contains_key(name), "{name}");
        }
    }

    let mut neighbour = Client::open(guarded.address()).await;
    let key = [("x-api-key", guarded.key.as_str())];
    let mut replies = Vec::new();
    for _ in 0..=PLACES - 2 {
        replies.push(neighbour.ask_with("/wait", &key).await);
    }
    guarded.until_under_way(5 + 7).await;
    let over = neighbour.ask_with("/wait", &key).await;
    assert_eq!(read(over).await.unwrap().0, 503);
    assert_eq!(ask(guarded.address(), guarded.keyed("/hello")).await.status, 200);
    assert_eq!(ask(guarded.address(), bare("GET", "/nothing")).await.status, 404);
    for reply in replies {
        guarded.free.notify_one();
        assert_eq!(read(reply).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn replies_that_strangers_do_not_read_take_a_quarter_of_their_bytes() {
    let options = ServeOptions { max_reply_bytes: 16 * LENGTH, ..ServeOptions::default() };
    let guarded = Guarded::start(options).await;
    let mut stranger = Client::with_window(guarded.address(), 0).await;
    let mut unread = Vec::new();
    for _ in 0..12 {
        let reply = stranger.send("GET", "/long").await;
        unread.push(timeout(LIMIT, reply).await.unwrap().unwrap());
    }
    // Three quarters of all bytes are for long replies.
    let admitted = unread.iter().filter(|reply| reply.status() == 200).count();
    assert_eq!(admitted, 3);
    let mut neighbour = Client::with_window(guarded.address(), 0).await;
    let key = [("x-api-key", guarded.key.as_str())];
    for status in [[200; 9].as_slice(), &[503]].concat() {
        let reply = neighbour.ask_with("/hello", &key).await;
        unread.push(timeout(LIMIT, reply).await.unwrap().unwrap());
        assert_eq!(unread.last().unwrap().status(), status);
    }
}

#[tokio::test]
async fn replies_with_the_same_bytes_take_none_of_their_own() {
    let options = ServeOptions { max_reply_bytes: 16, ..ServeOptions::default() };
    let guarded = Guarded::start(options).await;
    for path in ["/file", "/openapi.json"] {
        let mut stranger = Client::with_window(guarded.address(), 0).await;
        let mut unread = Vec::new();
        for _ in 0..100 {
            let reply = stranger.send("GET", path).await;
            unread.push(timeout(LIMIT, reply).await.unwrap().unwrap());
            assert_eq!(unread.last().unwrap().status(), 200, "{path}");
        }
        assert_eq!(ask(guarded.address(), bare("GET", path)).await.status, 200);
    }
}

#[tokio::test]
async fn replies_that_strangers_do_not_read_leave_most_of_the_compression_to_others() {
    let guarded = Guarded::start(ServeOptions::default()).await;
    let (gzip, key) = (("accept-encoding", "gzip"), ("x-api-key", guarded.key.as_str()));
    let (mut stranger, mut neighbour) = (
        Client::with_window(guarded.address(), 0).await,
        Client::with_window(guarded.address(), 0).await,
    );
    let mut unread = Vec::new();
    for (client, path, headers, compressed) in
        [(&mut stranger, "/long", &[gzip][..], 8), (&mut neighbour, "/hello", &[gzip, key], 24)]
    {
        let mut number = 0;
        for _ in 0..40 {
            let reply = client.ask_with(path, headers).await;
            let reply = timeout(LIMIT, reply).await.unwrap().unwrap();
            assert_eq!(reply.status(), 200);
            number += usize::from(reply.headers().contains_key("content-encoding"));
            unread.push(reply);
        }
        assert_eq!(number, compressed, "{path}");
    }
}

/// A limit that no test reaches.
const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn connections_without_a_complete_request_give_way() {
    let options =
        ServeOptions { max_connections: 3, header_timeout: LONG, ..ServeOptions::default() };
    let server = Server::start(hello(), options).await;
    for begun in ["", "GET /hello HTTP/1.1\r\nhost: te", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut silent = Vec::new();
        for _ in 0..3 {
            let mut connection = Connection::open(server.address).await;
            connection.send_if_open(begun).await;
            silent.push(connection);
        }
        let served =
            async { while ask(server.address, bare("GET", "/hello")).await.status == 503 {} };
        timeout(LIMIT, served).await.unwrap();
        // The server of HTTP/2 has sent its settings, and no head.
        assert!(silent[0].head().await.is_none(), "{begun:?}");
    }
}

#[tokio::test]
async fn a_connection_with_requests_of_strangers_alone_gives_way_and_one_with_a_key_does_not() {
    let options = ServeOptions { max_connections: 2, ..ServeOptions::default() };
    let guarded = Guarded::start(options).await;
    let mut known = Connection::open(guarded.address()).await;
    known.send(guarded.keyed("/wait")).await;
    guarded.until_under_way(1).await;
    let mut stranger = Connection::open(guarded.address()).await;
    stranger.send("POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n").await;
    guarded.until_under_way(2).await;
    let served =
        async { while ask(guarded.address(), guarded.keyed("/hello")).await.status == 503 {} };
    timeout(LIMIT, served).await.unwrap();
    assert!(stranger.is_cut().await);
    guarded.free.notify_one();
    assert_eq!(known.reply().await.unwrap().text(), "at last");
}

#[tokio::test]
async fn a_connection_with_many_unread_bodies_leaves_and_answers_the_requests_that_it_has() {
    let guarded = Guarded::start(ServeOptions::default()).await;
    let mut client = Client::open(guarded.address()).await;
    let key = [("x-api-key", guarded.key.as_str())];
    let waiting = client.ask_with("/wait", &key).await;
    guarded.until_under_way(1).await;
    let mut bodies = Vec::new();
    for _ in 0..128 {
        let (reply, mut body) = client.begin("POST", "/nothing", &[]).await;
        assert_eq!(read(reply).await.unwrap().0, 404);
        let reset = timeout(LIMIT, std::future::poll_fn(|cx| body.poll_reset(cx))).await.unwrap();
        assert_eq!(reset.unwrap(), Reason::NO_ERROR);
        bodies.push(body);
    }
    drop(bodies);
    client.until_it_takes_no_more().await;
    guarded.free.notify_one();
    assert_eq!(read(waiting).await.unwrap().2, "at last");
    let outcome = timeout(LIMIT, client.connection).await.unwrap().unwrap();
    assert!(outcome.is_ok(), "{outcome:?}");
}
