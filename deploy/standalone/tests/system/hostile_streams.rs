//! Attacks over HTTP/2 on a process with data: its memory is bounded, and a neighbour is answered
//! meanwhile.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    client::{Client, LINES},
    data::{ENDING_AT, joined},
    service::{PATIENCE, Service, pause},
};

/// By how much the attacks may increase the peak memory of the process.
const MEMORY: u64 = 160 << 20;
/// The sessions of the service: the reply to a query with the largest limit has 10,000 of them.
const SESSIONS: usize = 30_000;
/// The requests that a client of HTTP/2 may send at once.
const STREAMS: u32 = 100;
/// The longest reply of the service, about 1.2 MB.
const LONG: &str = "/v1/session-starts?days=3&limit=10000";
/// A query that reads every start.
const DEAR: &str = "/v1/session-starts/counts?days=3&step=hour";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// The flag END_STREAM of a request, and ACK of a PING.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// A connection of an attacker.
struct Attacker {
    stream: TcpStream,
    /// The id of the next request.
    next: u32,
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The headers of `GET path`.
fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [b"\x82\x86\x01\x04test\x04", &[length][..], path.as_bytes()].concat()
}

impl Attacker {
    /// Begins with a `window` of so many bytes for each reply.
    fn open(client: Client, window: u32) -> Self {
        let mut stream = client.connect().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).unwrap();
        Self { stream, next: 1 }
    }

    /// Sends `count` requests and returns the id of the first one.
    fn ask(&mut self, path: &str, count: u32) -> io::Result<u32> {
        let (first, headers) = (self.next, get(path));
        self.next += 2 * count;
        let requests = (first..self.next).step_by(2);
        let flags = END_STREAM | END_HEADERS;
        let all: Vec<_> = requests.flat_map(|id| frame(HEADERS, flags, id, &headers)).collect();
        self.stream.write_all(&all).map(|()| first)
    }

    fn reset(&mut self, first: u32) -> io::Result<()> {
        let resets = (first..self.next).step_by(2);
        let all: Vec<_> = resets.flat_map(|id| frame(RST_STREAM, 0, id, &CANCEL)).collect();
        self.stream.write_all(&all)
    }

    /// Waits until the service has read everything.
    fn ping(&mut self) -> io::Result<()> {
        self.stream.write_all(&frame(PING, 0, 0, &[0; 8]))?;
        while self.received()? != (PING, END_STREAM) {}
        Ok(())
    }

    /// The type and the flags of the next frame that the service sends.
    fn received(&mut self) -> io::Result<(u8, u8)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        io::copy(&mut (&mut self.stream).take(length.into()), &mut io::sink())?;
        Ok((kind, flags))
    }
}

/// Takes replies byte by byte: of as many as a connection may have, it reads only the heads.
fn take_bytes(client: Client) {
    let mut attackers: Vec<_> = (0..4).map(|_| Attacker::open(client, 1)).collect();
    for attacker in &mut attackers {
        attacker.ask(LONG, STREAMS).unwrap();
    }
    for attacker in &mut attackers {
        let mut heads = 0;
        while heads < STREAMS {
            heads += u32::from(attacker.received().unwrap().0 == HEADERS);
        }
    }
}

/// Sends 10,000 dear queries and resets them ten at a time, when the service has begun with them or
/// is about to. It closes the connection of a client that resets many before.
fn reset_dear_queries(client: Client) {
    let mut attacker = Attacker::open(client, 1 << 20);
    for _ in 0..1_000 {
        let reset = attacker.ask(DEAR, 10).and_then(|first| {
            attacker.ping()?;
            pause(Duration::from_millis(1));
            attacker.reset(first)
        });
        if reset.is_err() {
            attacker = Attacker::open(client, 1 << 20);
        }
    }
}

/// Resets requests at once, on one connection after the other, as the service closes them.
fn reset_at_once(client: Client) {
    for _ in 0..20 {
        let mut attacker = Attacker::open(client, 1 << 20);
        for _ in 0..100 {
            let sent = attacker.ask(DEAR, STREAMS).and_then(|first| attacker.reset(first));
            if sent.is_err() {
                break;
            }
        }
    }
}

/// Sends headers that never end, until the service closes each connection.
fn never_end_headers(client: Client) {
    for _ in 0..20 {
        let mut attacker = Attacker::open(client, 1 << 20);
        let begin = frame(HEADERS, END_STREAM, 1, &get(LONG));
        let more = frame(CONTINUATION, 0, 1, &b"\x40\x01a\x01b".repeat(3_000)).repeat(10);
        let mut sent = attacker.stream.write_all(&begin);
        while sent.is_ok() {
            sent = attacker.stream.write_all(&more);
        }
    }
}

/// Asks for one user's sessions on and on; returns the longest time of a reply.
fn neighbour(client: Client, done: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let reply = client.ask("/v1/users/u7/sessions");
        assert_eq!(reply["sessions"].as_array().map(Vec::len), Some(20), "{reply}");
        longest = longest.max(begun.elapsed());
        pause(Duration::from_millis(10));
    }
    longest
}

fn event(session: usize, kind: &str, minute: usize) -> Vec<u8> {
    let ts = format!("2016-12-01T10:{minute:02}:00Z");
    format!(
        r#"{{"user_id":"u{}","session_id":"s{session}","event":"{kind}","ts":"{ts}","country":"SK"}}"#,
        session % 1_000
    )
    .into_bytes()
}

#[test]
fn attacks_over_http2_are_bounded_in_memory_and_a_neighbour_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let client = service.client();
    let events: Vec<_> = (0..SESSIONS)
        .flat_map(|session| {
            [event(session, "start", session % 50), event(session, "end", session % 50 + 1)]
        })
        .collect();
    for batch in events.chunks(1_000) {
        assert_eq!(client.post("/v1/events", &[LINES], &joined(batch)).unwrap().status, 200);
    }
    service.wait_until_answered(events.len());
    let starts = || [LONG, DEAR].map(|path| client.ask(path)["countries"].take());
    let whole = starts();
    for (attack, act) in [
        ("replies taken byte by byte", take_bytes as fn(Client)),
        ("dear queries reset ten at a time", reset_dear_queries),
        ("requests reset at once", reset_at_once),
        ("headers without end", never_end_headers),
    ] {
        let (before, done) = (service.peak_memory(), AtomicBool::new(false));
        let longest = std::thread::scope(|scope| {
            let asking = scope.spawn(|| neighbour(client, &done));
            let attacking = scope.spawn(|| act(client));
            let attacked = attacking.join();
            done.store(true, Ordering::Relaxed);
            attacked.unwrap();
            asking.join().unwrap()
        });
        let more = service.peak_memory().saturating_sub(before);
        println!("{attack}: {} MiB more; the neighbour's slowest reply {longest:?}", more >> 20);
        assert!(more <= MEMORY, "{attack}: {} MiB more", more >> 20);
    }
    assert_eq!(starts(), whole);
    // A stranger would fill the log.
    assert!(!service.said().contains(r#""target":"h2"#));
    service.stop();
}
