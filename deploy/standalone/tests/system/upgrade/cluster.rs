//! A keyspace, a topic, its offsets and its dead letters that an older version wrote.
//!
//! The fixture has the rows of the tables as CQL with their write times and times to live, the
//! records of both topics with their headers, and the committed offsets, which have no metadata.
//! 16 records were not consumed, and a redrive had kept some letters and appended others.

use std::{collections::BTreeMap, process::Command, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde::Deserialize;
use serde_json::Value;

use super::{AS_OF, answers_as_before, fixture};
use crate::{
    backends::Backends,
    command_line::{bookend, said},
    cql::{Cql, flag},
    service::{BOOKEND, Service, serve},
};

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Written {
    rows: Vec<String>,
    /// The records of each partition of the events, and of the dead letters.
    events: Vec<Vec<Record>>,
    letters: Vec<Vec<Record>>,
    /// The committed offsets, by topic and partition.
    committed: BTreeMap<String, BTreeMap<i32, i64>>,
}

#[derive(Deserialize)]
struct Record {
    key: Option<String>,
    value: String,
    headers: Vec<[String; 2]>,
}

fn produce(brokers: &str, topic: &str, partitions: &[Vec<Record>]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for (partition, records) in (0..).zip(partitions) {
        for Record { key, value, headers } in records {
            let add = |all: OwnedHeaders, [name, value]: &[String; 2]| {
                all.insert(Header { key: name, value: Some(value) })
            };
            let headers = headers.iter().fold(OwnedHeaders::new(), add);
            let mut record = BaseRecord::<str, str>::to(topic).partition(partition);
            (record.key, record.payload) = (key.as_deref(), Some(value.as_str()));
            producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(LIMIT).unwrap();
}

fn commit(brokers: &str, group: &str, topic: &str, offsets: &BTreeMap<i32, i64>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

fn report(command: &str, flags: &[String], more: &[&str]) -> Value {
    let flags = flags.iter().map(String::as_str);
    let args: Vec<_> = [command, "--json"].into_iter().chain(AS_OF).chain(flags).collect();
    let output = bookend(&[&args[..], more].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_keyspace_and_topics_of_an_older_version_are_served_with_their_offsets_letters_and_cursors() {
    let data = tempfile::tempdir().unwrap();
    let mut flags = Backends::KafkaAndCassandra.flags(data.path());
    flags.extend(["--log-partitions".to_owned(), "3".to_owned()]);
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));

    let text = fixture("cluster.json.zst");
    let expected: Value = serde_json::from_slice(&text).unwrap();
    let written: Written = serde_json::from_slice(&text).unwrap();
    let (brokers, topic) = (flag(&flags, "--kafka-brokers"), flag(&flags, "--kafka-topic"));
    let mut cql = Cql::connect(flag(&flags, "--cassandra-nodes"));
    let keyspace = flag(&flags, "--cassandra-keyspace");
    for row in &written.rows {
        cql.execute(&row.replacen("INSERT INTO ", &format!("INSERT INTO {keyspace}."), 1));
    }
    let (letters, redrive) = (format!("{topic}.dlq"), format!("{topic}.redrive"));
    produce(brokers, topic, &written.events);
    produce(brokers, &letters, &written.letters);
    commit(brokers, topic, topic, &written.committed["session-events"]);
    commit(brokers, &redrive, &letters, &written.committed["session-events.dlq"]);

    let mut command = serve(data.path(), &AS_OF);
    command.args(&flags);
    let service = Service::run(command);
    service.wait_until_answered(16);
    assert_eq!(service.metrics().sum("bookend_consumer_records_total"), 16.0);
    answers_as_before(&service, &expected);
    service.stop();

    let verdict = report("verify", &flags, &[]);
    assert_eq!(verdict["differences"]["count"], 0, "{verdict}");
    assert_eq!(verdict["ledger"], expected["verify"]["ledger"]);
    let redriven = report("redrive", &flags, &["--code", "contested"]);
    for count in ["looked_at", "appended", "kept"] {
        assert_eq!(redriven[count], expected["redrive"][count], "{count}");
    }
}
