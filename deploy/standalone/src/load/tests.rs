//! Loads events into a real HTTP server that sends scripted replies.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use warp::{Filter, http, http::Response};

use super::*;

mod keys;
mod reading;

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
    let places = (1..).zip(text.lines()).map(|(line, _)| Place { file: 0, at: At::Line(line) });
    let body = bytes::Bytes::from_static(text.as_bytes());
    RequestBatch { body, places: places.collect(), too_long: Vec::new() }
}

/// Writes files of a temporary directory.
fn files(contents: &[&[u8]]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let paths = (0..contents.len()).map(|number| directory.path().join(format!("{number}.gz")));
    let paths: Vec<_> = paths.collect();
    paths.iter().zip(contents).for_each(|(path, content)| fs::write(path, content).unwrap());
    (directory, paths)
}

/// Never calls back.
fn unwatched(bar: &ProgressBar) -> Watch<'_, fn(&Summary, &ProgressBar)> {
    Watch { bar, interval: INTERVAL, tick: |_, _| {} }
}

/// Loads `files`, strictly or with a file of rejects.
async fn load_files(
    files: &[PathBuf],
    options: &LoadOptions,
    rejects: Option<&Path>,
    is_strict: bool,
) -> Summary {
    let bar = ProgressBar::hidden();
    let rejects = rejects.map(|path| Rejects::create(path, files).unwrap());
    let outcome = Outcome::new(files.to_vec(), rejects, is_strict);
    let (files, reading) = (files.to_vec(), bar.clone());
    let feed = move |batcher: &mut Batcher| input::read(&files, &reading, batcher);
    send(options, outcome, unwatched(&bar), future::pending(), feed).await.unwrap()
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
    assert_eq!((summary.sent, summary.rejected["too_long"], summary.undelivered), (2, 2, 0));
    let failure = summary.failure.unwrap();
    assert!(
        failure.starts_with("no event was accepted") && failure.contains("too_long"),
        "{failure}"
    );
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
async fn a_load_of_which_nothing_is_accepted_fails_and_names_its_first_rejected_event() {
    let none = r#"{"accepted":0,"discarded":[],"rejected":[{"index":0,"code":"missing_ts","detail":"x"}],"error":{"code":"x","message":"y"}}"#;
    let service = Service::start([answer(400, none)]).await;
    let summary = load(lines(0..1), &service.options()).await;
    assert_eq!(summary.rejected["missing_ts"], 1);
    let failure = summary.failure.unwrap();
    assert_eq!(
        failure,
        "no event was accepted: the first rejected event is line 1 of -: missing_ts: x"
    );
}

#[tokio::test]
async fn a_load_that_is_all_expired_or_empty_fails_and_says_so() {
    let old = r#"{"accepted":0,"discarded":[{"index":0,"code":"expired"}],"rejected":[]}"#;
    let service = Service::start([answer(200, old)]).await;
    let summary = load(lines(0..1), &service.options()).await;
    assert_eq!(summary.discarded, 1);
    assert!(summary.failure.unwrap().contains("older than one year"));
    let summary = load(Vec::new(), &service.options()).await;
    assert_eq!(summary.failure.unwrap(), "no event was accepted: the input has no events");
}

/// The reply to a batch of `events`, of which the service keeps all but these.
fn refusing(events: usize, discarded: Value, rejected: Value) -> Answer {
    let refused = discarded.as_array().unwrap().len() + rejected.as_array().unwrap().len();
    let reply = json!({
        "accepted": events - refused, "discarded": discarded, "rejected": rejected,
    });
    answer(200, &reply.to_string())
}

#[tokio::test]
async fn refused_events_are_written_to_a_file_with_their_places() {
    let array = format!("[{}]", lines(0..3).join(","));
    let (directory, paths) = files(&[b"\n1\n2\n", array.as_bytes()]);
    let rejects = directory.path().join("rejects");
    fs::write(&rejects, "of an earlier load").unwrap();
    let first = refusing(
        2,
        json!([{ "index": 1, "code": "expired" }]),
        json!([{ "index": 0, "code": "not_an_object", "detail": "found a number" }]),
    );
    let second = refusing(3, json!([]), json!([{ "index": 2, "code": "future", "detail": "" }]));
    let service = Service::start([first, second]).await;
    let options = service.options();
    let summary = load_files(&paths[..1], &options, Some(&rejects), false).await;
    assert_eq!(summary.sent, 2);
    let file = |number: usize| paths[number].to_str().unwrap().to_owned();
    let written = |path: &Path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(
        written(&rejects),
        [
            json!({ "file": file(0), "line": 3, "code": "expired" }),
            json!({
                "file": file(0), "line": 2, "code": "not_an_object", "detail": "found a number",
            }),
        ]
    );
    let summary = load_files(&paths[1..], &options, Some(&rejects), false).await;
    assert_eq!((summary.accepted, summary.failure), (2, None));
    assert_eq!(written(&rejects), [json!({ "file": file(1), "index": 2, "code": "future" })]);
}

#[tokio::test]
async fn the_file_of_rejects_never_replaces_an_input() {
    let (_directory, paths) = files(&[b"1\n"]);
    let error = Rejects::create(&paths[0], &paths).unwrap_err().to_string();
    assert!(error.contains("is an input"), "{error}");
    assert_eq!(fs::read(&paths[0]).unwrap(), b"1\n");
}

#[tokio::test]
async fn a_strict_load_stops_at_the_first_rejected_event() {
    let (_directory, paths) = files(&[lines(0..100).join("\n").as_bytes()]);
    let replies = || {
        let expired = json!([{ "index": 0, "code": "expired" }]);
        let future = json!([{ "index": 1, "code": "future", "detail": "d" }]);
        [refusing(2, expired, json!([])), refusing(2, json!([]), future)]
    };
    let service = Service::start(replies()).await;
    let options = LoadOptions { batch: 2, concurrency: 1, ..service.options() };
    let strict = load_files(&paths, &options, None, true).await;
    // A discarded event is not a mistake of its producer.
    assert_eq!((strict.accepted, strict.discarded, strict.rejected["future"]), (2, 1, 1));
    let failure = strict.failure.unwrap();
    assert!(failure.starts_with("--strict: stopped at line 4 of "), "{failure}");
    assert!(failure.ends_with("future: d"), "{failure}");

    let service = Service::start(replies()).await;
    let options = LoadOptions { url: service.url.clone(), ..options };
    let lenient = load_files(&paths, &options, None, false).await;
    assert_eq!((lenient.accepted, lenient.sent, lenient.failure), (98, 100, None));
}

#[tokio::test]
async fn an_interrupted_load_counts_what_was_sent_and_does_not_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = options(&format!("http://{}", listener.local_addr().unwrap()));
    let options = LoadOptions { batch: 2, concurrency: 1, ..options };
    // The input has no end, and the reply to the first batch never comes.
    let (input, waiting) = std::sync::mpsc::channel::<()>();
    let feed = move |batcher: &mut Batcher| {
        for line in 1..=2 {
            batcher.push(b"1", Place { file: 0, at: At::Line(line) });
        }
        waiting.recv().ok();
        Ok(())
    };
    let stop = async {
        listener.accept().await.unwrap();
    };
    let bar = ProgressBar::hidden();
    let outcome = Outcome::new(Vec::new(), None, false);
    let summary = send(&options, outcome, unwatched(&bar), stop, feed).await.unwrap();
    assert!(summary.is_interrupted);
    assert_eq!((summary.sent, summary.undelivered), (2, 2));
    assert!(summary.failure.unwrap().starts_with("interrupted"));
    drop(input);
}

#[tokio::test]
async fn the_progress_of_a_load_is_reported_at_intervals() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = options(&format!("http://{}", listener.local_addr().unwrap()));
    let (ticked, mut ticks) = mpsc::unbounded_channel();
    let tick = move |summary: &Summary, _: &ProgressBar| {
        ticked.send(summary.progress(Some(7))).ok();
    };
    let bar = ProgressBar::hidden();
    let watch = Watch { bar: &bar, interval: Duration::from_millis(1), tick };
    let feed = |batcher: &mut Batcher| {
        batcher.push(b"1", Place { file: 0, at: At::Line(1) });
        Ok(())
    };
    // The first request gets no reply before the progress is reported.
    let serving = async {
        let waiting = listener.accept().await.unwrap();
        let line = ticks.recv().await.unwrap();
        drop(waiting);
        (line, Service::on(listener, []))
    };
    let outcome = Outcome::new(Vec::new(), None, false);
    let sending = send(&options, outcome, watch, future::pending(), feed);
    let (summary, (line, _service)) = tokio::join!(sending, serving);
    assert_eq!(summary.unwrap().accepted, 1);
    assert_eq!(
        line,
        "loading: 0 events sent (7 % of the input), 0 accepted, 0 discarded, 0 rejected"
    );
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
    for url in ["127.0.0.1:5000", "ftp://127.0.0.1"] {
        assert!(
            load_lines(lines(0..1), &options(url), &ProgressBar::hidden()).await.is_err(),
            "{url}"
        );
    }
}

#[tokio::test]
async fn several_files_are_one_input_and_the_bar_reaches_its_end() {
    let (_directory, paths) = files(&[b"1\n2", b"\r\n", b"", b"[3,\n4]"]);
    let (service, bar) = (Service::start([]).await, progress_of(&paths));
    let whole: u64 = paths.iter().map(|path| path.metadata().unwrap().len()).sum();
    let (reading, outcome) = (bar.clone(), Outcome::new(paths.clone(), None, false));
    let feed = move |batcher: &mut Batcher| input::read(&paths, &reading, batcher);
    let options = service.options();
    let sending = send(&options, outcome, unwatched(&bar), future::pending(), feed);
    let summary = sending.await.unwrap();
    assert_eq!((summary.sent, summary.accepted, summary.failure), (4, 4, None));
    assert_eq!(service.bodies().concat(), "1\n2\n3\n4\n");
    assert_eq!(bar.position(), whole);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_failure_after_those_before_it() {
    let (directory, mut paths) = files(&[b"1\n2"]);
    paths.push(directory.path().join("missing"));
    let service = Service::start([]).await;
    let summary = load_files(&paths, &service.options(), None, false).await;
    assert_eq!((summary.sent, summary.accepted), (2, 2));
    assert!(summary.failure.unwrap().contains("missing"));
}

#[tokio::test]
async fn a_line_that_no_body_can_hold_is_rejected_here_and_the_next_one_is_sent() {
    let text = format!("1\n{}\n2\n{}\n", "x".repeat(1 << 20), "y".repeat(3 << 20));
    let (directory, paths) = files(&[text.as_bytes()]);
    let (service, rejects) = (Service::start([]).await, directory.path().join("rejects"));
    let summary = load_files(&paths, &service.options(), Some(&rejects), false).await;
    assert_eq!((summary.sent, summary.accepted, summary.rejected["too_long"]), (4, 2, 2));
    assert_eq!(service.bodies(), ["1\n2\n"]);
    let written = fs::read_to_string(rejects).unwrap();
    assert!(written.contains("\"line\":2,") && written.contains("\"line\":4,"), "{written}");
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
