//! The shutdown: the drain window, and the requests in flight after it.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::*;

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

/// Stops a server; the sender ends its drain window.
async fn stopping(server: Server) -> (SocketAddr, JoinHandle<()>, oneshot::Sender<()>) {
    let Server { address, stop, served } = server;
    let (hurry, hurried) = oneshot::channel();
    let window = DrainEnd::when(async {
        hurried.await.ok();
    });
    stop.send(window).ok().unwrap();
    let stopping = tokio::time::timeout(LIMIT, async {
        while ask(address, bare("GET", "/readyz")).await.status == 200 {}
    });
    stopping.await.unwrap();
    (address, served, hurry)
}

fn never_by_itself() -> ServeOptions {
    ServeOptions { drain_window: Duration::MAX, ..ServeOptions::default() }
}

#[tokio::test]
async fn in_the_drain_window_a_process_is_not_ready_and_still_answers() {
    let server = Server::start(reporting(Ok(())), never_by_itself()).await;
    let [mut used, mut fresh] =
        [Connection::open(server.address).await, Connection::open(server.address).await];
    used.send(bare("GET", "/readyz")).await;
    let ready = used.reply().await.unwrap();
    assert_eq!((ready.status, ready.header("connection")), (200, None));

    let (address, served, hurry) = stopping(server).await;
    let said = ask(address, bare("GET", "/readyz")).await;
    assert_eq!((said.status, said.text()), (503, "the process is stopping\n"));
    let mut idle = Connection::open(address).await;
    for connection in [&mut used, &mut fresh] {
        connection.send(bare("GET", "/livez")).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(connection.is_cut().await);
    }

    assert!(!served.is_finished());
    hurry.send(()).unwrap();
    assert!(idle.is_cut().await);
    ended(served).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_drain_window_ends_by_itself() {
    let options =
        ServeOptions { drain_window: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(reporting(Ok(())), options).await;
    let (_, served, _hurry) = stopping(server).await;
    ended(served).await;
}

#[tokio::test]
async fn half_a_request_at_the_end_of_the_drain_window_may_be_completed() {
    let server = Server::start(reporting(Ok(())), never_by_itself()).await;
    let mut half = Connection::open(server.address).await;
    half.send(bare("GET", "/livez")).await;
    assert_eq!(half.reply().await.unwrap().status, 200);
    half.send("GET /livez HTTP/1.1\r\nho").await;
    // The server reads it before the later requests of the next line.
    let (address, served, hurry) = stopping(server).await;
    hurry.send(()).unwrap();
    let refused = tokio::time::timeout(LIMIT, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.unwrap();
    half.send("st: test\r\n\r\n").await;
    let reply = half.reply().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    drop(half);
    ended(served).await;
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
