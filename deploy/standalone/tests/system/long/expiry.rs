//! Lets the offsets of the group expire while no consumer runs, which takes the brokers more than a
//! minute. The next consumer says so and reads everything again.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    data::ENDING_AT,
    service::{BOOKEND, Service, pause},
    stack::{Node, Service as Server, Stack},
    topics::batch,
};

/// The shortest retention of offsets that brokers accept, and the interval at which they check it.
const EXPIRED_AFTER: Duration = Duration::from_secs(90);

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
fn a_group_whose_offsets_expired_is_replayed() {
    let stack = Stack::own_only(Server::Kafka, 1, false);
    stack.kill(Node::Kafka(1));
    stack.set_kafka_properties(
        "offsets.retention.minutes=1\noffsets.retention.check.interval.ms=1000\n",
    );
    stack.start_again(Node::Kafka(1));
    let data = tempfile::tempdir().unwrap();
    let made = command("setup", data.path(), stack.kafka_brokers()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let service = Service::run(command("serve", data.path(), stack.kafka_brokers()));
    let posted = service.client().post("/v1/events", &[], &batch(0..500)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    service.wait_until_answered(500);
    service.stop();
    pause(EXPIRED_AFTER);
    let service = Service::run(command("serve", data.path(), stack.kafka_brokers()));
    service.wait_until_answered(500);
    let said = service.said();
    assert!(said.contains("the group has no committed offsets"), "{said}");
    println!("500 records were read again after their offsets expired");
    service.stop();
}
