//! Producers that write to the topic without the endpoint: any key or none, also invalid events.

use std::process::Command;

use bytes::Bytes;
use ingest::log::{KafkaLog, Log, NewRecord, kafka::KafkaLogOptions};
use shared::{clock::Clock, timestamp::Timestamp};

use crate::{
    backends::Backends,
    data::{Chance, ENDING_AT, generate},
    model::Model,
    questions::compare,
    reading::{Line, events, instant_of, read},
    service::{BOOKEND, eventually},
};

/// Appends `records` like a producer in another language.
pub(crate) fn produce(flags: &[String], records: Vec<NewRecord>) {
    let flag = |name: &str| flags[flags.iter().position(|flag| flag == name).unwrap() + 1].clone();
    let options = KafkaLogOptions {
        brokers: flag("--kafka-brokers"),
        topic: flag("--kafka-topic"),
        ..KafkaLogOptions::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Clock::starting_at(Timestamp::from_millis(instant_of(ENDING_AT)).unwrap());
        let log = Log::Kafka(KafkaLog::open(options, clock).await.unwrap());
        log.append(records).await.unwrap();
        log.close().await;
    });
}

#[test]
fn an_event_after_the_five_bytes_of_a_schema_registry_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let service = Backends::KafkaAndCassandra.start(data.path(), &["--as-of", ENDING_AT]);
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let ts = Timestamp::from_millis(instant_of(ENDING_AT)).unwrap();
    let event = |kind: &str| {
        format!(r#"{{"user_id":"u","session_id":"s","event":"{kind}","ts":"{ts}","country":"SK"}}"#)
    };
    let framed = |value: &str| NewRecord {
        value: [&b"\0\0\0\x12\x34"[..], value.as_bytes()].concat().into(),
        ..NewRecord::default()
    };
    produce(&flags, vec![framed(&event("start")), framed(&event("end")), framed("\u{4}u1\u{4}s1")]);
    service.wait_until_answered(3);
    let reply = service.client().get("/v1/users/u/sessions").unwrap();
    assert_eq!(reply.json()["sessions"][0]["session_id"], "s");
    assert_eq!(service.metrics().sum("bookend_consumer_schema_ids_total"), 2.0);
    assert_eq!(service.metrics().sum("bookend_dead_letters_total"), 1.0);
    let mut verify = Command::new(BOOKEND);
    verify.env_clear().args(["verify", "--as-of", ENDING_AT]).args(&flags);
    let verify = verify.output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    service.stop();
}

#[test]
fn what_others_produce_is_answered_or_a_dead_letter_and_a_redrive_brings_it_back() {
    let data = tempfile::tempdir().unwrap();
    let service = Backends::KafkaAndCassandra.start(data.path(), &["--as-of", ENDING_AT]);
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let now = instant_of(ENDING_AT);
    let lines = generate("hostile", 800, 61);
    let mut chance = Chance::new(62);
    let record = |line: &Vec<u8>| {
        let key = match chance.below(3) {
            0 => None,
            1 => Some(Bytes::from_static(b"the same for all")),
            _ => Some(chance.below(1_000).to_string().into()),
        };
        NewRecord { key, value: line.clone().into(), ..NewRecord::default() }
    };
    produce(&flags, lines.iter().map(record).collect());
    service.wait_until_answered(lines.len());
    let events = events(&lines, now);
    compare(service.client(), &Model::new(&events));

    let expired = lines.iter().filter(|line| read(line, now) == Line::Discarded).count();
    let dead = lines.len() - events.len() - expired;
    let letters = || service.metrics().sum("bookend_dead_letters_total");
    assert!(dead > 50, "{dead}");
    assert_eq!(letters(), dead as f64);

    // Events of the future are judged by the clock of the redrive.
    let mut redrive = Command::new(BOOKEND);
    redrive.env_clear().args(["redrive", "--as-of", ENDING_AT]).args(&flags);
    let redrive = redrive.output().unwrap();
    let said = String::from_utf8_lossy(&redrive.stdout);
    assert!(redrive.status.success(), "{}", String::from_utf8_lossy(&redrive.stderr));
    assert!(
        said.starts_with(&format!("{dead} dead letters appended to the log, 0 kept")),
        "{said}"
    );
    eventually("they are dead letters again", || (letters() == 2.0 * dead as f64).then_some(()));
    compare(service.client(), &Model::new(&events));
    service.stop();
}
