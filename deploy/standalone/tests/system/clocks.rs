//! Processes on hosts whose clocks differ, and topics whose records have the time of their
//! producer: an event that was answered with 200 is never refused later.

use std::{path::Path, process::Command};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _},
};
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::{
    apart::program,
    backends::Backends,
    preload::Preloaded,
    reading::spelled,
    service::{BOOKEND, PATIENCE, Service, eventually},
};

const KAFKA: [&str; 1] = ["--kafka-"];
const BOTH: [&str; 2] = ["--kafka-", "--cassandra-"];

/// The time of the machine in milliseconds.
fn now() -> i64 {
    Clock::machine().now().millis()
}

fn event(session: &str, kind: &str, ts: i64) -> String {
    json!({ "user_id": "u", "session_id": session, "event": kind, "ts": ts, "country": "SK" })
        .to_string()
}

fn flag(flags: &[String], name: &str) -> String {
    flags[flags.iter().position(|flag| flag == name).unwrap() + 1].clone()
}

/// Runs a command of `bookend` that must succeed, and returns its output.
fn bookend(name: &str, flags: &[String], more: &[&str]) -> String {
    let done = Command::new(BOOKEND).env_clear().arg(name).args(flags).args(more).output().unwrap();
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Fails unless the store agrees with the log.
fn verify(flags: &[String], more: &[&str]) {
    let verdict = bookend("verify", flags, &[more, &["--json"]].concat());
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["differences"]["count"], 0, "{verdict}");
}

/// The flags of a new topic and keyspace.
fn set_up(data: &Path) -> Vec<String> {
    let flags = Backends::KafkaAndCassandra.flags(data);
    bookend("setup", &flags, &[]);
    flags
}

fn consumer(flags: &[String], more: &[&str]) -> Service {
    let more = [&["--role", "consumer"][..], more].concat();
    Service::run(program("ingest", flags, &BOTH, &more))
}

fn endpoint(flags: &[String]) -> Command {
    program("ingest", flags, &KAFKA, &["--role", "http"])
}

fn post(endpoint: &Service, event: &str) -> u16 {
    endpoint.client().post("/v1/events", &[], format!("[{event}]").as_bytes()).unwrap().status
}

/// Gives `command` a clock of its own: that of the machine and an offset in seconds. Not by
/// libfaketime, which allocates while it starts, and the allocator asks it for the time.
pub(crate) fn own_clock(command: &mut Command, offset: i64) -> Preloaded {
    Preloaded::by(command, "clock", offset)
}

/// The skew of a server in seconds, as the metric shows it.
fn skew(service: &Service, server: &str) -> f64 {
    let metrics = service.client().get("/metrics").unwrap().text();
    let series = format!("bookend_clock_skew_seconds{{server=\"{server}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.expect("the metric is missing").parse().unwrap()
}

fn query(flags: &[String]) -> Service {
    Service::run(program("query-api", flags, &["--cassandra-"], &[]))
}

fn status(query: &Service, session: &str) -> Option<String> {
    let reply = query.client().get(&format!("/v1/users/u/sessions/{session}")).unwrap();
    (reply.status == 200).then(|| reply.json()["status"].as_str().unwrap().to_owned())
}

/// Produces a record as another program, with a timestamp of its own.
fn produce(flags: &[String], value: &str, timestamp: Option<i64>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", flag(flags, "--kafka-brokers"));
    let producer: BaseProducer<DefaultProducerContext> = config.create().unwrap();
    let topic = flag(flags, "--kafka-topic");
    let mut record = BaseRecord::to(&topic).key("u").payload(value);
    record.timestamp = timestamp;
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn an_event_that_a_fast_endpoint_accepted_is_answered_by_consumers_with_a_slower_clock() {
    let data = tempfile::tempdir().unwrap();
    let flags = set_up(data.path());
    let fast = spelled(now() + 50_000);
    let mut endpoint = endpoint(&flags);
    endpoint.args(["--as-of", &fast]);
    let (endpoint, consumer, query) =
        (Service::run(endpoint), consumer(&flags, &[]), query(&flags));

    assert_eq!(post(&endpoint, &event("s", "start", now() + 330_000)), 200);
    // A direct producer is judged by the append time.
    produce(&flags, &event("direct", "start", now() + 330_000), None);
    consumer.wait_until_answered(2);
    assert_eq!(status(&query, "s").as_deref(), Some("open"));
    assert_eq!(status(&query, "direct"), None);
    assert_eq!(consumer.metrics().sum("bookend_dead_letters_total"), 1.0);
    verify(&flags, &[]);
    [endpoint, consumer, query].into_iter().for_each(Service::stop);
}

#[test]
fn on_a_topic_with_the_producers_times_events_are_judged_by_the_consumer_s_clock() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", flag(&flags, "--kafka-brokers"));
    let admin: AdminClient<_> = config.create().unwrap();
    let topic = flag(&flags, "--kafka-topic");
    let topic = NewTopic::new(&topic, 3, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "CreateTime");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    made[0].as_ref().unwrap();
    bookend("setup", &flags, &[]);
    let (consumer, query) = (consumer(&flags, &[]), query(&flags));

    let minute_ago = now() - 60_000;
    produce(&flags, &event("in seconds", "start", minute_ago), Some(now() / 1_000));
    produce(&flags, &event("of 1970", "start", minute_ago), Some(1));
    produce(&flags, &event("far", "start", now() + 3_600_000), Some(now() + 3_500_000));
    consumer.wait_until_answered(3);
    for session in ["in%20seconds", "of%201970"] {
        assert_eq!(status(&query, session).as_deref(), Some("open"), "{session}");
    }
    assert_eq!(status(&query, "far"), None);
    verify(&flags, &[]);
    // An event that was too far ahead for the consumer, but is not for verify, which goes by the
    // dead letter.
    produce(&flags, &event("soon", "start", now() + 330_000), None);
    consumer.wait_until_answered(4);
    assert_eq!(consumer.metrics().sum("bookend_dead_letters_total"), 2.0);
    verify(&flags, &["--future-tolerance", "6m"]);
    [consumer, query].into_iter().for_each(Service::stop);
}

#[test]
fn a_redriven_event_of_the_future_is_judged_by_the_clock_of_today() {
    let data = tempfile::tempdir().unwrap();
    let flags = set_up(data.path());
    let (strict, query) = (consumer(&flags, &["--future-tolerance", "4m"]), query(&flags));
    produce(&flags, &event("s", "start", now() + 302_000), None);
    strict.wait_until_answered(1);
    assert_eq!(strict.metrics().sum("bookend_dead_letters_total"), 1.0);
    strict.stop();
    // By the time of the first append, the event would stay 2 s too far ahead for this one.
    let consumer = consumer(&flags, &[]);
    let mut records = 0;
    eventually("the event is no longer too far in the future", || {
        let done = bookend("redrive", &flags, &["--code", "future"]);
        assert!(done.starts_with("1 dead letters"), "{done}");
        records += 1;
        consumer.wait_until_answered(records);
        (status(&query, "s").as_deref() == Some("open")).then_some(())
    });
    [consumer, query].into_iter().for_each(Service::stop);
}

#[test]
fn an_endpoint_that_accepts_more_than_consumers_may_answers_503_and_is_not_ready() {
    let data = tempfile::tempdir().unwrap();
    let flags = set_up(data.path());
    let mut tolerant = endpoint(&flags);
    tolerant.args(["--future-tolerance", "61m"]);
    let tolerant = Service::begin(tolerant);
    let reply = tolerant.client().get("/readyz").unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("lower --future-tolerance"), "{}", reply.text());
    assert_eq!(post(&tolerant, &event("s", "start", now())), 503);
    tolerant.stop();
    let most = ["--role", "consumer", "--future-tolerance", "61m"];
    Service::run(program("ingest", &flags, &BOTH, &most)).stop();
}

#[test]
fn the_clocks_of_the_servers_are_measured_and_one_that_is_off_is_told_once() {
    let data = tempfile::tempdir().unwrap();
    let flags = set_up(data.path());
    let endpoint = Service::run(endpoint(&flags));
    assert!(skew(&endpoint, "kafka").is_nan(), "nothing was appended yet");
    assert_eq!(post(&endpoint, &event("s", "start", now())), 200);
    assert!(skew(&endpoint, "kafka").abs() < 5.0);
    endpoint.stop();
    let mut query = program("query-api", &flags, &["--cassandra-"], &[]);
    let _clock = own_clock(&mut query, 600);
    let query = Service::run(query);
    let seen = eventually("a node was asked", || {
        Some(skew(&query, "cassandra")).filter(|seen| !seen.is_nan())
    });
    assert!((-601.0..-590.0).contains(&seen), "{seen}");
    assert_eq!(
        query.said().matches("differs from this machine's by more than a minute").count(),
        1
    );
    query.stop();
}
