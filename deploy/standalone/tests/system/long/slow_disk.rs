//! A slow disk, which flushes rows later than they are written: the process has a hard limit of its
//! memory and needs no more than on a fast one.
//!
//! Without the wait of `shared/src/store/embedded/pressure.rs`, a released program needed 295 MiB
//! instead of 210 MiB for ordinary sessions, and 362 MiB instead of 203 MiB for many facts. A disk
//! that is slower still shows less, because the consumer waits for its own syncs, too.

use std::{
    path::Path,
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::LINES,
    data::{ENDING_AT, joined},
    preload::Preloaded,
    service::{Service, eventually, serve},
};

/// By how much longer each sync takes.
const DELAY: Duration = Duration::from_millis(300);
/// The limit of the peak memory of the process, which is that on a fast disk.
const MEMORY: u64 = 280 << 20;
/// The limit of all memory that the process may write to, also of stacks and of memory that it has
/// freed. It gets no more, and ends if it needs more.
const HARD_LIMIT: u64 = 512 << 20;
/// The write buffer of the store: so small that rows are written faster than they are flushed.
const BUFFER: &str = "8MiB";
/// Clients whose batches share syncs.
const CLIENTS: usize = 16;
/// The parts of the records, each of which must be handled in time.
const PARTS: usize = 10;

/// A user or session with a number and the length that makes the largest rows.
fn id(number: usize) -> String {
    format!("{:0>128}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The event of a session in a second of its minute, which is a start if the second is even.
fn event(session: usize, second: usize) -> Vec<u8> {
    let (id, ts) = (id(session), format!("2016-12-01T10:00:{second:02}Z"));
    let kind = if second.is_multiple_of(2) { "start" } else { "end" };
    format!(
        r#"{{"user_id":"{id}","session_id":"{id}","event":"{kind}","ts":"{ts}","country":"SK"}}"#
    )
    .into_bytes()
}

/// Starts the service on a disk whose speed can be set, with the hard limit. Every user may set
/// such a limit, unlike that of a control group.
fn start(data: &Path) -> (Service, Preloaded) {
    let service = serve(data, &["--as-of", ENDING_AT, "--store-buffer", BUFFER]);
    let mut command = Command::new("sh");
    // The allocator reserves a gibibyte, which then counts only when it is used.
    command.env_clear().env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
    let disk = Preloaded::by(&mut command, "slow_disk", 0);
    command.args(["-c", &format!("ulimit -d {}; exec \"$0\" \"$@\"", HARD_LIMIT >> 10)]);
    command.arg(service.get_program()).args(service.get_args());
    (Service::run(command), disk)
}

/// Loads the events of `sessions` sessions; fails unless all are answered in bounded memory.
fn load(events: &[Vec<u8>], sessions: usize) {
    let data = tempfile::tempdir().unwrap();
    let (service, disk) = start(data.path());
    disk.set(DELAY.as_millis() as i64);
    let batches = Mutex::new(events.chunks(1_000));
    let post = || {
        loop {
            let Some(batch) = batches.lock().unwrap().next() else { return };
            let begun = Instant::now();
            let reply = service.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(begun.elapsed() >= DELAY, "the sync was not delayed");
        }
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(post);
        }
    });
    let handled = || service.metrics().sum("bookend_consumer_records_total");
    for part in 1..=PARTS {
        let records = (events.len() * part / PARTS) as f64;
        eventually("more records are handled", || (handled() >= records).then_some(()));
    }
    service.wait_until_answered(events.len());
    disk.set(0);
    let starts = service.client().ask("/v1/session-starts/counts?days=3");
    assert_eq!(starts["countries"]["SK"], sessions);
    let peak = service.peak_memory();
    println!("{} events: at most {} MiB", events.len(), peak >> 20);
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
    service.stop();
}

#[test]
fn ordinary_sessions() {
    let sessions = 150_000;
    let events: Vec<_> = (0..2)
        .flat_map(|second| (0..sessions).map(move |session| event(session, second)))
        .collect();
    load(&events, sessions);
}

#[test]
fn one_of_many_facts_of_each_session_in_turn_the_latest_first() {
    let (sessions, facts) = (6_000, 60);
    let events: Vec<_> = (0..facts)
        .rev()
        .flat_map(|second| (0..sessions).map(move |session| event(session, second)))
        .collect();
    load(&events, sessions);
}
