//! Topics and groups that somebody deletes: a topic that is missing at the start, and a group that
//! is deleted while its consumer is stopped.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::KafkaResult,
};
use serde_json::json;

use crate::{
    backends::Backends,
    data::ENDING_AT,
    service::{BOOKEND, Service, eventually, serve},
    stack::Stack,
};

/// How soon a batch is refused while the topic is missing.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// How soon batches are taken again after `setup`.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn as_operator<T>(
    brokers: &str,
    work: impl AsyncFnOnce(AdminClient<DefaultClientContext>) -> KafkaResult<T>,
) -> KafkaResult<T> {
    let admin = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    tokio::runtime::Runtime::new().unwrap().block_on(work(admin))
}

/// Deletes `topic`.
pub(crate) fn delete_topic(brokers: &str, topic: &str) {
    let deleted = as_operator(brokers, async |admin| {
        admin.delete_topics(&[topic], &AdminOptions::new()).await
    });
    deleted.unwrap()[0].clone().unwrap();
}

/// Deletes `group`; returns whether the brokers did so, which they refuse while it has members.
fn delete_group(brokers: &str, group: &str) -> bool {
    let deleted = as_operator(brokers, async |admin| {
        admin.delete_groups(&[group], &AdminOptions::new()).await
    });
    deleted.unwrap()[0].is_ok()
}

/// A batch of `count` starts.
fn batch(count: usize) -> Vec<u8> {
    let start = |session| {
        json!({ "user_id": "u", "session_id": format!("s{session}"), "event": "start", "ts": "2016-12-01T00:00:00Z",
                "country": "SK" })
    };
    serde_json::to_vec(&(0..count).map(start).collect::<Vec<_>>()).unwrap()
}

/// The value of a flag.
fn flag<'a>(flags: &'a [String], name: &str) -> &'a str {
    let at = flags.iter().position(|flag| flag == name).unwrap();
    &flags[at + 1]
}

#[test]
fn a_service_waits_for_its_topic_also_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let mut command = serve(data.path(), &["--as-of", ENDING_AT]);
    command.args(&flags);
    let service = Service::begin(command);
    let client = service.client();
    assert_eq!(client.get("/livez").unwrap().status, 200);
    for _ in 0..3 {
        let begun = Instant::now();
        let reply = client.post("/v1/events", &[], &batch(3)).unwrap();
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(begun.elapsed() < REFUSED_WITHIN, "{:?}", begun.elapsed());
        let reply = client.get("/readyz").unwrap();
        assert_eq!(reply.status, 503);
        let missing = format!("topic {} does not exist", flag(&flags, "--kafka-topic"));
        assert!(reply.text().contains(&missing), "{}", reply.text());
    }
    let made = Command::new(BOOKEND)
        .env_clear()
        .args(["setup", "--data-dir"])
        .arg(data.path())
        .args(&flags)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let created = Instant::now();
    eventually("a batch is taken", || {
        (client.post("/v1/events", &[], &batch(3)).unwrap().status == 200).then_some(())
    });
    eventually("the service is ready", || {
        (client.get("/readyz").unwrap().status == 200).then_some(())
    });
    assert!(created.elapsed() < BACK_WITHIN, "{:?}", created.elapsed());
    service.wait_until_answered(3);
    service.stop();
}

#[test]
fn a_group_that_is_deleted_while_its_consumer_is_stopped_is_replayed() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let service = Backends::Kafka.start(data.path(), &["--as-of", ENDING_AT]);
    let (brokers, group) = (Stack::shared_plain().kafka_brokers(), flag(&flags, "--kafka-group"));
    let posted = service.client().post("/v1/events", &[], &batch(200)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    service.wait_until_answered(200);
    let new = service.said().matches("has no committed offsets").count();
    service.signal("STOP");
    eventually("the group has no members and is deleted", || {
        delete_group(brokers, group).then_some(())
    });
    service.signal("CONT");
    // Everything is handled again, and the log says why.
    service.wait_until_answered(400);
    assert!(service.said().matches("has no committed offsets").count() > new, "{}", service.said());
    let lags = service.metrics().samples("bookend_consumer_lag_records");
    assert!(lags.iter().all(|lag| *lag == 0.0), "{lags:?}");
    service.stop();
}
