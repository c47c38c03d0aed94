//! Loads events into a real HTTP server that sends scripted replies.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::net::{TcpListener, TcpSocket};
use warp::{Filter, http, http::Response};

use super::*;

type Answer = Response<String>;

/// A server that sends the replies of its script first, and then accepts everything.
struct Service {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    fn on(listener: TcpListener, script: impl IntoIterator<Item = Answer>) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.into_iter().collect::<Vec<_>>().into_iter()));
        let kept = Arc::clone(&bodies);
        let route = warp::post()
            .and(warp::path!("v1" / "events"))
            .and(warp::header::exact("content-type", "application/x-ndjson"))
            .and(warp::body::bytes())
            .map(move |body: bytes::Bytes| {
                let body = String::from_utf8(body.to_vec()).unwrap();
                let scripted = script.lock().unwrap().next();
                let accepted = answer(200, &accepted(body.lines().count()));
                kept.lock().unwrap().push(body);
                scripted.unwrap_or(accepted)
            });
        tokio::spawn(warp::serve(route).incoming(listener).run());
        Self { url, bodies }
    }

    fn options(&self) -> LoadOptions {
        options(&self.url)
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

fn options(url: &str) -> LoadOptions {
    LoadOptions {
        url: url.to_owned(),
        tries: 4,
        backoff: Duration::from_millis(1),
        ..LoadOptions::default()
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Response::builder().status(status).body(body.to_owned()).unwrap()
}

fn retry_after(status: u16, seconds: &str) -> Answer {
    Response::builder()
        .status(status)
        .header(http::header::RETRY_AFTER, seconds)
        .body(String::new())
        .unwrap()
}

fn accepted(events: usize) -> String {
    format!(r#"{{"message":"POST success","accepted":{events},"discarded":[],"rejected":[]}}"#)
}

fn lines(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!(r#"{{"number":{number}}}"#)).collect()
}

async fn load(lines: Vec<String>, options: &LoadOptions) -> Summary {
    load_lines(lines, options, &ProgressBar::hidden()).await.unwrap()
}

fn batch(text: &'static str) -> RequestBatch {
    RequestBatch { body: bytes::Bytes::from_static(text.as_bytes()), events: text.lines().count() }
}

#[tokio::test]
async fn every_line_arrives_once_in_batches_of_the_given_size() {
    let service = Service::start([]).await;
    let summary = load(lines(0..25), &LoadOptions { batch: 10, ..service.options() }).await;
    assert_eq!((summary.sent, summary.accepted, summary.retries), (25, 25, 0));
    let mut sizes: Vec<_> = service.bodies().iter().map(|body| body.lines().count()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    let mut arrived: Vec<_> = service
        .bodies()
        .iter()
        .flat_map(|body| body.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    arrived.sort_unstable();
    let mut sent = lines(0..25);
    sent.sort_unstable();
    assert_eq!(arrived, sent);
}

#[tokio::test]
async fn a_service_that_is_away_twice_gets_the_same_batch_a_third_time() {
    let service = Service::start([answer(503, ""), answer(503, "")]).await;
    let summary = load(lines(0..3), &service.options()).await;
    assert_eq!((summary.accepted, summary.retries, summary.failure), (3, 2, None));
    let bodies = service.bodies();
    assert_eq!(bodies, vec![bodies[0].clone(); 3]);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let service = Service::start([retry_after(429, "1")]).await;
    let summary = load(lines(0..1), &service.options()).await;
    assert_eq!((summary.accepted, summary.retries), (1, 1));
    assert!(summary.elapsed >= Duration::from_secs(1), "{:?}", summary.elapsed);
}

#[tokio::test]
async fn a_service_that_stays_away_is_given_up_and_all_that_was_read_is_accounted_for() {
    let service = Service::start((0..1_000).map(|_| answer(503, "log is full"))).await;
    let options = LoadOptions { batch: 2, concurrency: 2, ..service.options() };
    let summary = load(lines(0..100), &options).await;
    assert_eq!((summary.accepted, summary.sent), (0, summary.undelivered));
    assert!((2..=100).contains(&summary.undelivered), "{summary:?}");
    let error = summary.into_result().unwrap_err().to_string();
    assert!(error.contains("gave up after 4 attempts") && error.contains("log is full"), "{error}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let service = Service::start([answer(413, ""), answer(413, "")]).await;
    let summary = load(lines(0..7), &service.options()).await;
    assert_eq!((summary.sent, summary.accepted, summary.failure), (7, 7, None));
    // The whole, its later half, and then what fits: the halves of that and the earlier half.
    let sizes: Vec<_> = service.bodies().iter().map(|body| body.lines().count()).collect();
    assert_eq!(sizes, [7, 4, 2, 2, 3]);
}

#[tokio::test]
async fn one_event_that_is_too_large_by_itself_is_rejected() {
    let service = Service::start((0..3).map(|_| answer(413, ""))).await;
    let summary = load(lines(0..2), &service.options()).await;
    assert_eq!((summary.sent, summary.rejected["too_long"], summary.failure), (2, 2, None));
}

#[tokio::test]
async fn refused_events_are_counted_by_their_code() {
    let some = r#"{"message":"POST success","accepted":1,"discarded":[{"index":0,"code":"expired"}],
        "rejected":[{"index":1,"code":"invalid_ts","detail":"no \"instant\""},{"index":3,"code":"future","detail":""}]}"#;
    let service = Service::start([answer(200, some)]).await;
    let summary = load(lines(0..4), &service.options()).await;
    assert_eq!((summary.sent, summary.accepted, summary.discarded), (4, 1, 1));
    assert_eq!(
        summary.rejected,
        BTreeMap::from([("future".to_owned(), 1), ("invalid_ts".to_owned(), 1)])
    );
}

#[tokio::test]
async fn a_batch_without_any_valid_event_is_no_failure() {
    let none = r#"{"accepted":0,"discarded":[],"rejected":[{"index":0,"code":"missing_ts","detail":"x"}],"error":{"code":"x","message":"y"}}"#;
    let service = Service::start([answer(400, none)]).await;
    let summary = load(lines(0..1), &service.options()).await;
    assert_eq!((summary.rejected["missing_ts"], summary.failure), (1, None));
}

#[tokio::test]
async fn an_answer_that_does_not_account_for_every_event_is_a_failure() {
    for wrong in ["{}", "hello", &accepted(2)] {
        let service = Service::start([answer(200, wrong)]).await;
        let summary = load(lines(0..3), &service.options()).await;
        assert_eq!((summary.undelivered, summary.failure.is_some()), (3, true), "{wrong}");
    }
}

#[tokio::test]
async fn another_status_is_a_failure_at_once_that_names_the_address() {
    let service = Service::start([answer(415, "no such media type")]).await;
    let summary = load(lines(0..3), &service.options()).await;
    assert_eq!((summary.undelivered, summary.retries), (3, 0));
    let failure = summary.failure.unwrap();
    assert!(
        failure.contains(&service.url)
            && failure.contains("415")
            && failure.contains("no such media"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_until_the_service_is_up() {
    // Bound but not listening: the port is in use, and connections are refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let sender =
        Sender::new(&options(&format!("http://{}", socket.local_addr().unwrap()))).unwrap();
    let refused = sender.deliver(batch("1\n2\n")).await;
    assert_eq!((refused.undelivered, refused.retries), (2, 3));
    assert!(refused.failure.unwrap().contains("gave up after 4 attempts"));

    let _service = Service::on(socket.listen(8).unwrap(), []);
    assert_eq!(sender.deliver(batch("1\n2\n")).await.report.accepted, 2);
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = async {
        drop(listener.accept().await.unwrap());
        Service::on(listener, [])
    };
    let options = options(&url);
    let (summary, _service) = tokio::join!(load(lines(0..3), &options), serving);
    assert_eq!((summary.accepted, summary.retries), (3, 1));
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_said_so() {
    for url in ["127.0.0.1:5000", "https://127.0.0.1", "ftp://127.0.0.1"] {
        assert!(
            load_lines(lines(0..1), &options(url), &ProgressBar::hidden()).await.is_err(),
            "{url}"
        );
    }
}

#[tokio::test]
async fn files_are_inflated_as_their_bytes_say_whatever_their_names() {
    let text = |range| lines(range).join("\n") + "\n";
    let gzip = |range| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text(range).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(text(30..40).as_bytes()).unwrap();
    let contents = [
        text(0..10).into_bytes(),
        // Two members in one file, as written by `cat a.gz b.gz`.
        [gzip(10..20), gzip(20..30)].concat(),
        bzip2.finish().unwrap(),
        zstd::encode_all(text(40..50).as_bytes(), 1).unwrap(),
        b"\r\n".to_vec(),
        Vec::new(),
    ];
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<_> =
        (0..contents.len()).map(|number| directory.path().join(format!("{number}.gz"))).collect();
    files.iter().zip(contents).for_each(|(path, content)| std::fs::write(path, content).unwrap());

    let (service, bar) = (Service::start([]).await, progress_of(&files));
    let whole: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    let (reading, options) = (bar.clone(), service.options());
    let summary =
        send(&options, &bar, move |batcher| input::read(&files, &reading, batcher)).await.unwrap();
    assert_eq!((summary.sent, summary.accepted, summary.failure), (50, 50, None));
    assert_eq!(service.bodies().concat(), text(0..50));
    assert_eq!(bar.position(), whole);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_failure_after_those_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let files = [directory.path().join("there"), directory.path().join("missing")];
    std::fs::write(&files[0], "1\n2").unwrap();
    let (service, bar) = (Service::start([]).await, ProgressBar::hidden());
    let (reading, options) = (bar.clone(), service.options());
    let summary =
        send(&options, &bar, move |batcher| input::read(&files, &reading, batcher)).await.unwrap();
    assert_eq!((summary.sent, summary.accepted), (2, 2));
    assert!(summary.failure.unwrap().contains("missing"));
}

#[tokio::test]
async fn a_line_that_no_body_can_hold_is_rejected_here_and_the_next_one_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let files = [directory.path().join("long")];
    std::fs::write(&files[0], format!("1\n{}\n2\n{}\n", "x".repeat(1 << 20), "y".repeat(3 << 20)))
        .unwrap();
    let (service, bar) = (Service::start([]).await, ProgressBar::hidden());
    let (reading, options) = (bar.clone(), service.options());
    let summary =
        send(&options, &bar, move |batcher| input::read(&files, &reading, batcher)).await.unwrap();
    assert_eq!((summary.sent, summary.accepted, summary.rejected["too_long"]), (4, 2, 2));
    assert_eq!(service.bodies(), ["1\n2\n"]);
}

#[tokio::test]
async fn no_body_is_larger_than_a_mebibyte() {
    let service = Service::start([]).await;
    let line = "x".repeat(400_000);
    let summary = load(vec![line; 5], &service.options()).await;
    assert_eq!(summary.accepted, 5);
    let mut sizes: Vec<_> = service.bodies().iter().map(String::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [400_001, 800_002, 800_002]);
}

#[test]
fn a_summary_adds_up_and_is_one_line_of_json() {
    let summary = Summary {
        sent: 1_234,
        accepted: 1_200,
        discarded: 30,
        rejected: BTreeMap::from([("invalid_ts".to_owned(), 4)]),
        retries: 1,
        elapsed: Duration::from_millis(500),
        ..Summary::default()
    };
    assert_eq!(
        serde_json::to_string(&summary).unwrap(),
        r#"{"sent":1234,"accepted":1200,"discarded":30,"rejected":{"invalid_ts":4},"undelivered":0,"retries":1,"elapsed_seconds":0.5,"events_per_second":2468,"failure":null}"#
    );
    let text = summary.to_string();
    assert!(
        text.contains("1,234  in 0.5 s, 2,468 events/s") && text.contains("invalid_ts"),
        "{text}"
    );
}
