//! Many kinds of attacking clients at once, beside an ordinary client.
//!
//! The limit is on the peak resident memory of the process, which Linux records. A limit on the
//! address space would include reserved memory that is never used, and a control group requires
//! privileges. `deploy/bench/limited` runs these tests in a control group with the release program.

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    client::{Client, Reply, read_reply},
    data::ENDING_AT,
    model::Model,
    questions::compare,
    reading::{Event, Fact, instant_of},
    service::{PATIENCE, Service, pause, serve},
};

/// The limit of the peak memory of the process.
const MEMORY: u64 = 256 << 20;
const MEBIBYTE: usize = 1 << 20;
/// The pause of a slow client between two bytes.
const DRIP: Duration = Duration::from_millis(200);

/// Starts the service with the usual soft limit of 1,024 open files, which it may raise.
fn start(data: &Path, limit: &str) -> Service {
    let service =
        serve(data, &["--as-of", ENDING_AT, "--header-timeout", "2s", "--body-timeout", "2s"]);
    // A shell that sets limits and starts the program.
    #[expect(
        clippy::disallowed_methods,
        reason = "a hard limit around the same tests is asked for by hand"
    )]
    let within = std::env::var("BOOKEND_TEST_WITHIN").unwrap_or_default();
    let mut command = Command::new("sh");
    command.env_clear().args(["-c", &format!("{limit}; exec {within} \"$0\" \"$@\"")]);
    command.arg(service.get_program()).args(service.get_args());
    Service::run(command)
}

/// The number of replies by their meaning.
#[derive(Default)]
struct Seen {
    refused: AtomicUsize,
    busy: AtomicUsize,
    cut: AtomicUsize,
}

impl Seen {
    /// Counts the reply to an attack, which must not be a failure of the service.
    fn note(&self, attack: &str, reply: Result<Reply, std::io::Error>) -> Option<u16> {
        match reply {
            Ok(reply) => {
                assert!(
                    reply.status < 500 || reply.status == 503,
                    "{attack}: {} {}",
                    reply.status,
                    reply.text()
                );
                let seen = if reply.status == 503 { &self.busy } else { &self.refused };
                seen.fetch_add(1, Ordering::Relaxed);
                Some(reply.status)
            }
            Err(error) => {
                // A client that is refused while it sends may not be able to read the reply.
                assert_ne!(
                    error.kind(),
                    ErrorKind::ConnectionRefused,
                    "{attack}: nobody listens any more"
                );
                self.cut.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

/// Half a gigabyte of zeros.
fn gzip_bomb() -> Vec<u8> {
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member.write_all(&vec![0; 8 * MEBIBYTE]).unwrap();
    // A gzip file may have several members.
    member.finish().unwrap().repeat(64)
}

/// Tens of gigabytes in less than a mebibyte: a frame with a window of one gibibyte and blocks of
/// one repeated byte.
fn zstd_bomb() -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3];
    for block in 0..200_000 {
        let last = u32::from(block == 199_999);
        frame.extend_from_slice(&(BLOCK << 3 | 1 << 1 | last).to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

/// Bodies of almost a mebibyte that are expensive in other ways than their length.
fn large_bodies() -> [Vec<u8>; 4] {
    let padded = |index: usize| {
        json!({ "user_id": format!("heavy{index}"), "session_id": "s", "event": "start",
        "ts": "2016-12-01T00:00:00Z", "country": "XX", "padding": "x".repeat(900) })
    };
    let padded: Vec<_> = (0..1_000).map(padded).collect();
    let refused: Vec<_> = (0..1_000).map(|_| json!({ "user_id": "\u{1}".repeat(150) })).collect();
    let many = "0,".repeat(MEBIBYTE / 2 - 2);
    let deep = "[".repeat(MEBIBYTE - 1);
    [json!(padded).to_string(), json!(refused).to_string(), format!("[{many}0]"), deep]
        .map(String::into_bytes)
}

/// Opens `count` connections that send nothing, until the service closes them.
fn idle(client: Client, count: usize) {
    let mut open: Vec<TcpStream> = (0..count).map(|_| client.connect().unwrap()).collect();
    for stream in &mut open {
        // Some get 503 first. Every connection must end.
        let ended = stream.read_to_end(&mut Vec::new());
        let still_open = ended.is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        assert!(!still_open, "an idle connection was never cut off");
    }
}

/// Sends `head` and then single bytes on many connections, until the service has closed all of
/// them.
fn drip(client: Client, head: &str, byte: &[u8], connections: usize) -> Vec<Option<u16>> {
    let mut open: Vec<_> =
        (0..connections).map(|_| BufReader::new(client.connect().unwrap())).collect();
    for stream in &mut open {
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    let (begun, mut answers) = (Instant::now(), Vec::new());
    while !open.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} slow clients were never cut off", open.len());
        open.retain_mut(|stream| match read_reply(stream) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                stream.get_mut().write_all(byte).ok();
                true
            }
            reply => {
                answers.push(reply.ok().map(|reply| reply.status));
                false
            }
        });
        // The pace of the attack.
        pause(DRIP);
    }
    answers
}

/// The ordinary client: its events, and the number of its retries.
#[derive(Default)]
struct Ordinary {
    events: Vec<Event>,
    requests: usize,
    again: usize,
    longest: Duration,
}

impl Ordinary {
    /// Retries until the request is served. Only 503 is retried.
    fn served(&mut self, what: &str, ask: impl Fn() -> std::io::Result<Reply>) -> Reply {
        let begun = Instant::now();
        self.requests += 1;
        loop {
            let reply = ask().unwrap_or_else(|error| panic!("an ordinary {what} failed: {error}"));
            if reply.status != 503 {
                assert_eq!(reply.status, 200, "an ordinary {what}: {}", reply.text());
                self.longest = self.longest.max(begun.elapsed());
                return reply;
            }
            self.again += 1;
            let wait = reply
                .header("retry-after")
                .expect("a 503 says when to come again")
                .parse()
                .unwrap();
            assert!(begun.elapsed() < PATIENCE, "an ordinary {what} is refused every time");
            pause(Duration::from_secs(wait));
        }
    }

    /// Sends ten events and one query.
    fn round(&mut self, client: Client) {
        let (user, begun) =
            (format!("ordinary{}", self.requests % 7), instant_of("2016-12-01T12:00:00Z"));
        let mut batch = Vec::new();
        for number in 0..5 {
            let session = format!("{}-{number}", self.requests);
            let (start, end) = (begun + number * 1_000, begun + number * 2_000);
            for (kind, ts) in [("start", start), ("end", end)] {
                batch.push(json!({ "user_id": user, "session_id": session, "event": kind, "ts": ts, "country": "SK" }));
            }
            let event = |fact| Event { user: user.clone(), session: session.clone(), fact };
            self.events.extend([event(Fact::Start(start, "SK".to_owned())), event(Fact::End(end))]);
        }
        let body = json!(batch).to_string();
        let report =
            self.served("batch", || client.post("/v1/events", &[], body.as_bytes())).json();
        assert_eq!(report["accepted"], 10);
        let question = format!("/user/last-sessions-user?user_id={user}");
        assert!(self.served("question", || client.get(&question)).json()[&user].is_array());
    }
}

/// Sends a bomb six times, and returns whether one was refused as too large.
fn explodes(client: Client, seen: &Seen, encoding: &'static str, body: &[u8]) -> bool {
    let headers = [("content-encoding", encoding)];
    let post = || seen.note(encoding, client.post("/v1/events", &headers, body));
    let statuses: Vec<_> = (0..6).filter_map(|_| post()).collect();
    // On a busy machine the body may not arrive within its two seconds.
    assert!(
        statuses.iter().all(|status| [408, 413, 503].contains(status)),
        "{encoding}: {statuses:?}"
    );
    statuses.contains(&413)
}

/// Sends bodies a byte at a time, which must be refused.
fn drip_a_body(client: Client) {
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n[";
    let statuses = drip(client, head, b" ", 50);
    assert!(statuses.iter().flatten().all(|status| [408, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&Some(408)), "{statuses:?}");
}

/// Prints what the clients saw and the memory of the service.
fn report(ordinary: &Ordinary, seen: &Seen, [at_rest, peak]: [u64; 2]) {
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    eprintln!(
        "{} ordinary requests, {} retries, the longest took {:?}; attacks: {} replies, {} with 503, {} connections cut; \
         {} MiB at rest, {} MiB at most",
        ordinary.requests,
        ordinary.again,
        ordinary.longest,
        count(&seen.refused),
        count(&seen.busy),
        count(&seen.cut),
        at_rest >> 20,
        peak >> 20
    );
}

#[test]
fn hostile_clients_all_at_once_neither_crash_nor_bloat_the_service_nor_starve_an_ordinary_client() {
    // This process opens as many connections as the service accepts.
    let room = shared::open_files::room_for_connections();
    assert!(room > 1_200, "this test needs 1,600 open files: raise the limit (ulimit -n)");
    let data = tempfile::tempdir().unwrap();
    let mut service = start(data.path(), "ulimit -Sn 1024");
    let (client, seen, over) = (service.client(), Seen::default(), AtomicBool::new(false));
    let at_rest = service.peak_memory();
    let [gzip, zstd] = [gzip_bomb(), zstd_bomb()];
    assert!(gzip.len() < MEBIBYTE && zstd.len() < MEBIBYTE);
    let large = large_bodies();
    assert!(large.iter().all(|body| body.len() <= MEBIBYTE));

    let mut ordinary = Ordinary::default();
    std::thread::scope(|scope| {
        let (seen, large) = (&seen, &large);
        let bomb = |encoding: &'static str, body: &[u8]| explodes(client, seen, encoding, body);
        let (gzip, zstd) = (&gzip, &zstd);
        let gzips: Vec<_> = (0..4).map(|_| scope.spawn(move || bomb("gzip", gzip))).collect();
        let zstds: Vec<_> = (0..4).map(|_| scope.spawn(move || bomb("zstd", zstd))).collect();
        let mut attacks = vec![
            scope.spawn(|| (0..2).for_each(|_| idle(client, 1_000))),
            scope.spawn(|| drip_a_body(client)),
            scope.spawn(|| drop(drip(client, "GET /livez HTTP/1.1\r\nx-slow: ", b"x", 50))),
        ];
        attacks.extend((0..64).map(|number| {
            scope.spawn(move || {
                for round in 0..3 {
                    let body = &large[(number + round) % large.len()];
                    seen.note("a large body", client.post("/v1/events", &[], body));
                }
            })
        }));
        let over = &over;
        let business = scope.spawn(move || {
            let mut ordinary = Ordinary::default();
            while !over.load(Ordering::Relaxed) || ordinary.requests < 60 {
                ordinary.round(client);
            }
            ordinary
        });
        let exploded = [gzips, zstds]
            .map(|bombs| bombs.into_iter().filter_map(|bomb| bomb.join().ok()).any(|it| it));
        let ended: Vec<_> = attacks.into_iter().map(|attack| attack.join()).collect();
        over.store(true, Ordering::Relaxed);
        ordinary = business.join().unwrap();
        ended.into_iter().for_each(|attack| attack.unwrap());
        assert_eq!(exploded, [true, true], "no bomb of a kind was ever told 413");
    });

    let peak = service.peak_memory();
    report(&ordinary, &seen, [at_rest, peak]);
    assert!(peak <= MEMORY, "{} MiB", peak >> 20);
    assert!(service.is_running());
    assert!(
        !service.said().contains("Too many open files"),
        "connections took the files of the log and the store"
    );
    assert!(!service.said().contains("panicked"));
    service.wait_until_answered(0);
    compare_users(client, &ordinary.events);
}

/// The events of the attackers may be accepted or not. Those of the ordinary client must all be
/// accepted.
fn compare_users(client: Client, events: &[Event]) {
    let model = Model::new(events);
    let mut expected = model.answers();
    expected.retain(|path, _| path.contains("ordinary"));
    let answers = crate::questions::ask_all(client, expected.keys().cloned().collect());
    crate::questions::same(&expected, &answers);
}

#[test]
fn where_few_files_may_be_open_connections_leave_enough_for_the_log_and_the_store() {
    let data = tempfile::tempdir().unwrap();
    let mut service = start(data.path(), "ulimit -n 512");
    let client = service.client();
    let mut ordinary = Ordinary::default();
    std::thread::scope(|scope| {
        let idle = scope.spawn(|| idle(client, 600));
        for _ in 0..20 {
            ordinary.round(client);
        }
        idle.join().unwrap();
    });
    assert!(service.is_running());
    assert!(
        !service.said().contains("Too many open files"),
        "connections took the files of the log and the store"
    );
    service.wait_until_answered(ordinary.events.len());
    compare(client, &Model::new(&ordinary.events));
}
