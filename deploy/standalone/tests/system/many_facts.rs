//! Valid events of sessions with many facts: they take no more memory than others.

use crate::{
    client::LINES,
    data::{ENDING_AT, joined},
    service::Service,
};

/// The limit of the peak memory of the process, which is that of ordinary events.
const MEMORY: u64 = 400 << 20;
/// The number of facts of each session, starts and ends in turn.
const FACTS: usize = 50;

/// The event `fact` of a session; a second lies between two of them.
fn event(session: usize, fact: usize) -> Vec<u8> {
    let kind = if fact.is_multiple_of(2) { "start" } else { "end" };
    let ts = format!("2016-12-01T10:00:{fact:02}Z");
    format!(
        r#"{{"user_id":"u{session}","session_id":"s","event":"{kind}","ts":"{ts}","country":"SK"}}"#
    )
    .into_bytes()
}

/// Loads the events; fails unless each session is answered and the memory is bounded.
fn load(events: &[Vec<u8>], sessions: usize) {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let client = service.client();
    for batch in events.chunks(1_000) {
        let reply = client.post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    service.wait_until_answered(events.len());
    for session in [0, sessions / 2, sessions - 1] {
        let last = client.ask(&format!("/v1/users/u{session}/sessions"));
        let pairs = last["sessions"].as_array().unwrap();
        assert_eq!(pairs.len(), 1, "{last}");
        assert_eq!(
            (&pairs[0]["started_at"], &pairs[0]["ended_at"]),
            (&"2016-12-01T10:00:00Z".into(), &"2016-12-01T10:00:01Z".into())
        );
    }
    let starts = client.ask("/v1/session-starts/counts?days=3");
    assert_eq!(starts["countries"]["SK"], sessions);
    let peak = service.peak_memory();
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
    service.stop();
}

#[test]
fn one_session_after_the_other_with_fifty_facts_each() {
    let sessions = 2_000;
    let events: Vec<_> = (0..sessions)
        .flat_map(|session| (0..FACTS).map(move |fact| event(session, fact)))
        .collect();
    load(&events, sessions);
}

#[test]
fn one_fact_of_each_session_in_turn_the_latest_first() {
    let sessions = 1_000;
    let events: Vec<_> = (0..FACTS)
        .rev()
        .flat_map(|fact| (0..sessions).map(move |session| event(session, fact)))
        .collect();
    load(&events, sessions);
}
