//! Attacks that HTTP/2 makes possible: each ends with the connection of the attacker, and a
//! neighbour is answered meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use test_support::connection::until;
use tokio::time::timeout;

use super::{http2::Client, *};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The headers of `GET /dear`.
fn dear() -> &'static [u8] {
    b"\x82\x86\x04\x05/dear\x01\x04test"
}

/// A server with a dear question, which is never answered, and the number of those under way.
async fn server() -> (Server, Arc<AtomicUsize>) {
    struct Asked(Arc<AtomicUsize>);
    impl Drop for Asked {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let under_way = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&under_way);
    let dear = Route::get("/dear", Access::Public, move |_, _| {
        asked.fetch_add(1, Ordering::Relaxed);
        let asked = Asked(Arc::clone(&asked));
        async move {
            pending::<()>().await;
            drop(asked);
            "never".into_response()
        }
    });
    let router = hello().with(&Arc::new(()), vec![dear]);
    (Server::start(router, ServeOptions::default()).await, under_way)
}

async fn neighbour_is_answered(server: &Server) {
    assert_eq!(ask(server.address, bare("GET", "/hello")).await.status, 200);
}

/// Sends `frames` on and on until the server closes the connection.
async fn send_until_closed(attacker: &mut Connection, mut frames: impl FnMut(u32) -> Vec<u8>) {
    // Of which a connection that has ended discards 16 MiB.
    const MOST: usize = 64 << 20;
    let mut sent = 0;
    for round in 0.. {
        let some = frames(round);
        sent += some.len();
        if !attacker.send_if_open(&some).await {
            break;
        }
        assert!(sent < MOST, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let (server, under_way) = server().await;
    let mut attacker = Connection::open(server.address).await;
    attacker.send(PREFACE).await;
    send_until_closed(&mut attacker, |round| {
        let pairs = (0..100).flat_map(|index| {
            let stream = 2 * (100 * round + index) + 1;
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [frame(HEADERS, END_STREAM | END_HEADERS, stream, dear()), reset].concat()
        });
        pairs.collect()
    })
    .await;
    neighbour_is_answered(&server).await;
    until(|| under_way.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn dear_questions_that_are_reset_ten_at_a_time_are_not_continued() {
    const ROUNDS: usize = 200;
    let (server, under_way) = server().await;
    let mut attacker = Client::open(server.address).await;
    for _ in 0..ROUNDS {
        let mut ten = Vec::new();
        for _ in 0..10 {
            ten.push(attacker.send("GET", "/dear").await);
        }
        until(|| under_way.load(Ordering::Relaxed) == 10).await;
        drop(ten);
        until(|| under_way.load(Ordering::Relaxed) == 0).await;
    }
    neighbour_is_answered(&server).await;
}

#[tokio::test]
async fn headers_without_end_end_the_connection() {
    for content in [&[b'\x40', 1, b'a', 1, b'b'].repeat(3_000)[..], b""] {
        let (server, under_way) = server().await;
        let mut attacker = Connection::open(server.address).await;
        attacker.send(PREFACE).await;
        attacker.send(frame(HEADERS, END_STREAM, 1, dear())).await;
        send_until_closed(&mut attacker, |_| frame(CONTINUATION, 0, 1, content).repeat(10)).await;
        neighbour_is_answered(&server).await;
        assert_eq!(under_way.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn long_replies_that_are_taken_byte_by_byte_are_few_and_short_ones_are_sent() {
    const LENGTH: usize = 1 << 20;
    let long = at_hello(async || vec![b'x'; LENGTH].into_response());
    let options = ServeOptions { max_reply_bytes: 16 * LENGTH, ..ServeOptions::default() };
    let server = Server::start(long, options).await;
    let mut attacker = Client::with_window(server.address, 1).await;
    let mut unread = Vec::new();
    for _ in 0..100 {
        let reply = attacker.send("GET", "/hello").await;
        unread.push(timeout(LIMIT, reply).await.unwrap().unwrap());
    }
    // A quarter of the bytes is for short replies.
    let admitted = unread.iter().filter(|reply| reply.status() == 200).count();
    assert!((1..=12).contains(&admitted), "{admitted} replies were admitted");
    assert_eq!(ask(server.address, bare("GET", "/nothing")).await.status, 404);
    drop(unread);
    let served = timeout(LIMIT, async {
        while ask(server.address, bare("GET", "/hello")).await.status != 200 {}
    });
    served.await.unwrap();
}
