//! Lets the offsets of groups expire, which takes the brokers more than a minute. Those of a
//! running consumer do not, also without events. After those of a stopped one, the next consumer
//! says so and reads everything again. Those of redrives last as long as redrives are run.

use std::{path::Path, process::Command, time::Duration};

use ingest::log::{DeadLetter, DeadLetterCode, KafkaLog, Log, Record, kafka::KafkaLogOptions};
use shared::clock::Clock;

use crate::{
    command_line::said,
    data::ENDING_AT,
    service::{BOOKEND, Service, pause},
    stack::{Node, Service as Server, Stack},
    topics::batch,
};

/// Longer than the shortest retention of offsets that brokers accept, and the interval of checks.
const EXPIRED_AFTER: Duration = Duration::from_secs(90);
/// Shorter than that retention.
const KEPT_FOR: Duration = Duration::from_secs(45);

const LETTERS: i64 = 100;

/// A broker on which offsets expire after a minute, with topics.
fn forgetful(data: &Path) -> Stack {
    let stack = Stack::own_only(Server::Kafka, 1, false);
    stack.kill(Node::Kafka(1));
    stack.set_kafka_properties(
        "offsets.retention.minutes=1\noffsets.retention.check.interval.ms=1000\n",
    );
    stack.start_again(Node::Kafka(1));
    let made = command("setup", data, stack.kafka_brokers()).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    stack
}

fn command(word: &str, data: &Path, brokers: &str) -> Command {
    let mut command = Command::new(BOOKEND);
    command.env_clear().arg(word).arg("--data-dir").arg(data);
    command.args(["--log", "kafka", "--kafka-brokers", brokers, "--kafka-replication", "1"]);
    command.args(["--as-of", ENDING_AT, "--log-format", "json"]);
    if word == "serve" {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

#[test]
fn a_group_whose_offsets_expired_is_replayed_and_a_running_one_keeps_them() {
    let data = tempfile::tempdir().unwrap();
    let stack = forgetful(data.path());
    let run = || Service::run(command("serve", data.path(), stack.kafka_brokers()));
    let mut service = run();
    let posted = service.client().post("/v1/events", &[], &batch(0..500)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    service.wait_until_answered(500);
    pause(EXPIRED_AFTER);
    service.kill();
    let service = run();
    let posted = service.client().post("/v1/events", &[], &batch(500..501)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    service.wait_until_answered(1);
    assert_eq!(service.metrics().sum("bookend_consumer_records_total"), 1.0);
    println!("the offsets of an idle consumer did not expire");
    service.stop();
    pause(EXPIRED_AFTER);
    let service = run();
    service.wait_until_answered(501);
    let said = service.said();
    assert!(said.contains("the group has no committed offsets"), "{said}");
    println!("501 records were read again after their offsets expired");
    service.stop();
}

#[test]
fn redrives_keep_their_offset_as_long_as_they_are_run() {
    let data = tempfile::tempdir().unwrap();
    let stack = forgetful(data.path());
    let brokers = stack.kafka_brokers().to_owned();
    let options = KafkaLogOptions { brokers: brokers.clone(), ..KafkaLogOptions::default() };
    let letter = |offset: i64| {
        let record = Record { offset, value: Some("x".into()), ..Record::default() };
        DeadLetter { code: DeadLetterCode::Panicked, record }
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = Log::Kafka(KafkaLog::open(options, Clock::machine()).await.unwrap());
        log.dead_letter((0..LETTERS).map(letter).collect()).await.unwrap();
    });
    let redrive = || {
        let output = command("redrive", data.path(), &brokers).arg("--json").output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["appended"].as_i64().unwrap()
    };
    assert_eq!(redrive(), LETTERS);
    for _ in 0..3 {
        pause(KEPT_FOR);
        assert_eq!(redrive(), 0);
    }
    println!("three redrives without letters kept the offset");
    pause(EXPIRED_AFTER);
    assert_eq!(redrive(), LETTERS);
    println!("after it expired, {LETTERS} letters were appended once more");
}
