//! The service is killed or stopped at random moments under load.

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    backends::{Backends, on},
    client::read_reply,
    data::{Chance, ENDING_AT, generate},
    ledger::Ledger,
    reading::instant_of,
    service::{Service, eventually, pause},
};

on!([
    no_acknowledged_event_is_lost_doubled_or_invented_when_the_process_is_killed_at_any_moment,
    a_service_told_to_stop_under_load_ends_in_order_and_keeps_every_event_it_acknowledged,
]);

/// The number of kills, unless the variable `BOOKEND_TEST_KILLS` sets it.
const KILLS: usize = 4;
/// A restart takes a fraction of this, even in a debug build.
const RESTART_WITHIN: Duration = Duration::from_secs(5);

const AS_OF: [&str; 2] = ["--as-of", ENDING_AT];

fn kills() -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "a longer run of the same test is asked for by hand"
    )]
    let wanted = std::env::var("BOOKEND_TEST_KILLS");
    wanted.map_or(KILLS, |wanted| wanted.parse().expect("BOOKEND_TEST_KILLS is a number"))
}

/// Valid and hostile lines, mixed.
fn lines(sessions: u32, seed: u64) -> Vec<Vec<u8>> {
    let mut lines = generate("clean", sessions, seed);
    lines.extend(generate("hostile", sessions, seed + 1));
    Chance::new(seed).shuffle(&mut lines);
    lines
}

fn no_acknowledged_event_is_lost_doubled_or_invented_when_the_process_is_killed_at_any_moment(
    backends: Backends,
) {
    let (data, kills) = (tempfile::tempdir().unwrap(), kills());
    let lines = lines(350 * u32::try_from(kills).unwrap(), 21);
    let ledger = Ledger::new(&lines, 25, instant_of(ENDING_AT), 22);
    for kill in 0..kills {
        let mut service = backends.start(data.path(), &AS_OF);
        let (answered, answers) = mpsc::channel();
        let until = 1 + ledger.below(2 * ledger.waiting() / (kills - kill + 1));
        std::thread::scope(|scope| {
            let client = service.client();
            let ledger = &ledger;
            scope.spawn(move || ledger.send(client, &answered));
            answers.iter().take(until).count();
            // The moment between two replies is random.
            pause(Duration::from_micros(ledger.below(20_000) as u64));
            service.kill();
        });
    }
    assert!(ledger.unanswered() > 0, "nothing was under way at any of the kills");

    let service = backends.start(data.path(), &AS_OF);
    while ledger.waiting() > 0 {
        ledger.send(service.client(), &mpsc::channel().0);
    }
    service.stop();
    let service = backends.start(data.path(), &AS_OF);
    service.wait_until_answered(0);
    ledger.check(service.client());
    service.stop();
}

fn a_service_told_to_stop_under_load_ends_in_order_and_keeps_every_event_it_acknowledged(
    backends: Backends,
) {
    let data = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(&lines(800, 31), 25, instant_of(ENDING_AT), 32);
    let mut service = backends.start(data.path(), &AS_OF);
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let client = service.client();
        let ledger = &ledger;
        scope.spawn(move || ledger.send(client, &answered));
        answers.iter().take(30).count();
        service.tell_to_stop();
        let status = service.ended();
        assert_eq!(status.code(), Some(0), "{status}: {}", service.said());
    });
    assert!(ledger.waiting() > 0, "it was not under load");

    let begun = Instant::now();
    let service = backends.start(data.path(), &AS_OF);
    let took = begun.elapsed();
    eprintln!("ready {took:?} after the start");
    // A cluster is reached over a network, by a process that shares this machine with it.
    assert!(took < RESTART_WITHIN || !matches!(backends, Backends::Embedded), "{took:?}");
    service.wait_until_answered(0);
    ledger.check(service.client());
}

#[test]
fn a_request_that_is_under_way_when_the_service_is_told_to_stop_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let mut service = Service::start(data.path(), &AS_OF);
    let body = json!([{ "user_id": "u", "session_id": "s", "event": "start", "ts": ENDING_AT, "country": "SK" }]);
    let body = body.to_string();
    let mut stream = BufReader::new(service.client().connect().unwrap());
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    // By this reply the service shows that it is reading the body.
    assert_eq!(read_reply(&mut stream).unwrap().status, 100);
    service.tell_to_stop();
    let address = service.client().0;
    eventually("nobody new is let in", || TcpStream::connect(address).err().map(|_refused| ()));
    stream.get_mut().write_all(body.as_bytes()).unwrap();
    let reply = read_reply(&mut stream).unwrap();
    assert_eq!((reply.status, &reply.json()["accepted"]), (200, &json!(1)));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed after the answer");
    assert_eq!(service.ended().code(), Some(0));

    let service = Service::start(data.path(), &AS_OF);
    service.wait_until_answered(0);
    assert_eq!(service.client().ask("/v1/users/u/sessions/s")["status"], "open");
}

#[test]
fn a_service_told_to_stop_takes_requests_until_it_is_told_again() {
    let data = tempfile::tempdir().unwrap();
    let mut service = Service::start(data.path(), &["--as-of", ENDING_AT, "--drain-window", "1h"]);
    let mut kept = BufReader::new(service.client().connect().unwrap());
    kept.get_mut().write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut kept).unwrap().header("connection"), None);
    service.tell_to_stop();
    eventually("it is not ready", || {
        let reply = service.client().get("/readyz").unwrap();
        (reply.status == 503).then_some(())
    });
    let body = json!([{ "user_id": "u", "session_id": "s", "event": "start", "ts": ENDING_AT, "country": "SK" }]);
    let reply = service.client().post("/v1/events", &[], body.to_string().as_bytes()).unwrap();
    assert_eq!((reply.status, &reply.json()["accepted"]), (200, &json!(1)));
    kept.get_mut().write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let last = read_reply(&mut kept).unwrap();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(service.is_running());
    service.tell_to_stop();
    assert_eq!(service.ended().code(), Some(0));

    let service = Service::start(data.path(), &AS_OF);
    service.wait_until_answered(0);
    assert_eq!(service.client().ask("/v1/users/u/sessions/s")["status"], "open");
}

#[test]
fn a_service_that_a_person_interrupts_takes_no_more_requests() {
    let data = tempfile::tempdir().unwrap();
    let mut service = Service::start(data.path(), &["--as-of", ENDING_AT, "--drain-window", "1h"]);
    service.signal("INT");
    assert_eq!(service.ended().code(), Some(0));
}
