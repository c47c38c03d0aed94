//! Sessions with more facts than they may have, under zombies and a replay: every process keeps
//! the same facts, and a replay changes no answer.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    backends::Backends,
    client::LINES,
    command_line::said,
    data::{Chance, joined},
    service::{BOOKEND, Service, eventually, serve},
};

const SESSIONS: usize = 20;
/// Facts of each session: 100, of which 64 are kept.
const FACTS: usize = 100;

fn start(data: &std::path::Path, flags: &[String], more: &[&str]) -> Service {
    let mut command = serve(data, more);
    command.args(flags);
    Service::run(command)
}

fn explained(service: &Service) -> Vec<Value> {
    let paths = (0..SESSIONS).map(|n| format!("/v1/users/u{}/sessions/s{n}", n % 5));
    paths.map(|path| service.client().ask(&path)).collect()
}

#[test]
fn full_sessions_keep_their_facts_under_zombies_and_replays() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let begin = shared::clock::Clock::machine().now() - shared::timestamp::DAY;
    let mut lines: Vec<Vec<u8>> = (0..SESSIONS * FACTS)
        .map(|number| {
            let (session, fact) = (number / FACTS, number % FACTS);
            let ts = (begin + fact as i64 * shared::timestamp::SECOND).to_string();
            let kind = if fact % 3 == 0 { "end" } else { "start" };
            let (user, session) = (format!("u{}", session % 5), format!("s{session}"));
            let event = json!({ "user_id": user, "session_id": session, "event": kind, "ts": ts });
            event.to_string().into_bytes()
        })
        .collect();
    Chance::new(91).shuffle(&mut lines);

    let (one, zombie) = (start(data.path(), &flags, &[]), start(data.path(), &flags, &[]));
    let dead = |service: &Service| service.metrics().sum("bookend_dead_letters_total");
    let post = |lines: &[Vec<u8>]| {
        for batch in lines.chunks(50) {
            let reply = one.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    };
    let (first, second) = lines.split_at(lines.len() / 2);
    post(first);
    let before = one.metrics().sum("bookend_consumer_rebalances_total");
    zombie.signal("STOP");
    post(second);
    eventually("the other takes over", || {
        (one.metrics().sum("bookend_consumer_rebalances_total") > before).then_some(())
    });
    one.wait_until_answered(0);
    zombie.signal("CONT");
    zombie.wait_until_answered(0);
    one.wait_until_answered(0);
    let kept = explained(&one);
    let written = dead(&one) + dead(&zombie);
    eprintln!("{written} dead letters of {} facts", lines.len());
    assert!(written >= (SESSIONS * (FACTS - 64)) as f64);
    zombie.stop();
    one.stop();

    // Another group reads the whole topic again.
    let group =
        format!("{}-again", flags[flags.iter().position(|f| f == "--kafka-group").unwrap() + 1]);
    let mut flags = flags;
    let at = flags.iter().position(|flag| flag == "--kafka-group").unwrap() + 1;
    flags[at] = group;
    let again = start(data.path(), &flags, &[]);
    again.wait_until_answered(lines.len());
    assert_eq!(explained(&again), kept);
    let metrics = again.metrics();
    eprintln!(
        "the replay wrote {} dead letters, {} of them repeated",
        metrics.sum("bookend_dead_letters_total"),
        metrics.sum("bookend_repeated_dead_letters_total")
    );
    again.stop();
    let verified = Command::new(BOOKEND).env_clear().arg("verify").args(&flags).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{text}{}", said(&verified));
}
