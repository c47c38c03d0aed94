//! Topics and groups that somebody deletes: a topic that is missing at the start, and a group that
//! is deleted while its consumer is stopped.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ingest::log::NewRecord;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::KafkaResult,
};
use serde_json::json;

use crate::{
    apart::path_of,
    backends::Backends,
    data::ENDING_AT,
    direct_producers::produce,
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

/// A batch of the starts of these sessions.
pub(crate) fn batch(sessions: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let start = |session| {
        json!({ "user_id": "u", "session_id": format!("s{session}"), "event": "start", "ts": "2016-12-01T00:00:00Z",
                "country": "SK" })
    };
    serde_json::to_vec(&sessions.into_iter().map(start).collect::<Vec<_>>()).unwrap()
}

fn command(word: &str, data: &Path, flags: &[String]) -> Command {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args([word, "--data-dir"]).arg(data).args(flags);
    command
}

/// Runs `bookend setup`; returns what it reports.
fn set_up(data: &Path, flags: &[String]) -> Result<String, String> {
    let done = command("setup", data, flags).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(text(&done.stderr)),
    }
}

/// Deletes the topic of `service` and creates it again.
fn create_again(service: &Service, data: &Path, flags: &[String]) {
    let topic = flag(flags, "--kafka-topic");
    delete_topic(Stack::shared_plain().kafka_brokers(), topic);
    eventually("the topic is missing", || {
        (service.client().get("/readyz").unwrap().status == 503).then_some(())
    });
    eventually("the topic is created again", || {
        let created = format!("created topic {topic},");
        set_up(data, flags).is_ok_and(|said| said.contains(&created)).then_some(())
    });
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
        let reply = client.post("/v1/events", &[], &batch(0..3)).unwrap();
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(begun.elapsed() < REFUSED_WITHIN, "{:?}", begun.elapsed());
        let reply = client.get("/readyz").unwrap();
        assert_eq!(reply.status, 503);
        let missing = format!("topic {} does not exist", flag(&flags, "--kafka-topic"));
        assert!(reply.text().contains(&missing), "{}", reply.text());
    }
    set_up(data.path(), &flags).unwrap();
    let created = Instant::now();
    eventually("a batch is taken", || {
        (client.post("/v1/events", &[], &batch(0..3)).unwrap().status == 200).then_some(())
    });
    eventually("the service is ready", || {
        (client.get("/readyz").unwrap().status == 200).then_some(())
    });
    assert!(created.elapsed() < BACK_WITHIN, "{:?}", created.elapsed());
    service.wait_until_answered(3);
    service.stop();
}

#[test]
fn without_its_dead_letter_topic_a_consumer_waits_at_its_first_letter_and_batches_are_taken() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let service = Backends::Kafka.start(data.path(), &["--as-of", ENDING_AT]);
    let (brokers, topic) = (Stack::shared_plain().kafka_brokers(), flag(&flags, "--kafka-topic"));
    let letters = format!("{topic}.dlq");
    delete_topic(brokers, &letters);
    let readiness = || service.client().get("/readyz").unwrap();
    eventually("the consumer is not ready", || (readiness().status == 503).then_some(()));
    let missing = format!("topic {letters} does not exist");
    assert!(readiness().text().contains(&missing), "{}", readiness().text());
    produce(&flags, vec![NewRecord { value: "garbage".into(), ..NewRecord::default() }]);
    let retries = || service.metrics().samples(r#"bookend_store_retries_total{cause="log"}"#);
    eventually("the letter is retried", || (retries().iter().sum::<f64>() >= 2.0).then_some(()));
    let posted = service.client().post("/v1/events", &[], &batch(0..100)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    let lag = || service.metrics().samples("bookend_consumer_lag_records").iter().sum::<f64>();
    assert!(lag() >= 1.0, "the letter is skipped");
    assert_eq!(service.metrics().sum("bookend_dead_letters_total"), 0.0);
    set_up(data.path(), &flags).unwrap();
    service.wait_until_answered(101);
    assert_eq!(service.metrics().sum("bookend_dead_letters_total"), 1.0);
    eventually("the consumer is ready", || (readiness().status == 200).then_some(()));
    let redriven = command("redrive", data.path(), &flags).output().unwrap();
    let said = String::from_utf8_lossy(&redriven.stdout);
    assert!(said.starts_with("1 dead letters appended"), "{said}");
    service.stop();
}

#[test]
fn verify_and_redrive_create_no_topic() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let topic = flag(&flags, "--kafka-topic");
    for word in ["verify", "redrive"] {
        let done = command(word, data.path(), &flags).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{word}: {said}");
        assert!(said.contains(&format!("topic {topic} does not exist")), "{word}: {said}");
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "{word}");
    }
    // It is created by `setup`, and not before.
    let created = set_up(data.path(), &flags).unwrap();
    assert!(created.contains(&format!("created topic {topic},")), "{created}");
}

#[test]
fn a_property_with_which_brokers_would_create_topics_is_a_mistake() {
    for (program, word) in [("bookend", "serve"), ("bookend", "setup"), ("ingest", "--role=http")] {
        let mut command = Command::new(path_of(program));
        command.env_clear().arg(word).arg("--kafka-property=allow.auto.create.topics=true");
        if program == "bookend" {
            command.args(["--log", "kafka"]);
        }
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(64), "{program} {word}: {said}");
        assert!(
            said.contains("--kafka-property: allow.auto.create.topics must stay false"),
            "{said}"
        );
    }
}

#[test]
fn a_group_that_is_deleted_while_its_consumer_is_stopped_is_replayed() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let service = Backends::Kafka.start(data.path(), &["--as-of", ENDING_AT]);
    let (brokers, group) = (Stack::shared_plain().kafka_brokers(), flag(&flags, "--kafka-group"));
    let posted = service.client().post("/v1/events", &[], &batch(0..200)).unwrap();
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

#[test]
fn what_is_answered_after_a_topic_was_created_again_is_found_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let as_of = ["--as-of", ENDING_AT];
    let mut service = Backends::Kafka.start(data.path(), &as_of);
    let post = |service: &Service, sessions| {
        service.client().post("/v1/events", &[], &batch(sessions)).unwrap().status
    };
    assert_eq!(post(&service, 0..1_000), 200);
    service.wait_until_answered(1_000);
    assert_eq!(post(&service, 1_000..2_000), 200);
    // A commit is probably on its way.
    create_again(&service, data.path(), &flags);
    for first in [2_000, 3_000, 4_000] {
        eventually("a batch is taken", || {
            (post(&service, first..first + 1_000) == 200).then_some(())
        });
    }
    service.kill();
    let service = Backends::Kafka.start(data.path(), &as_of);
    service.wait_until_answered(0);
    let client = service.client();
    let known = |session: &usize| {
        client.get(&format!("/v1/users/u/sessions/s{session}")).unwrap().status == 200
    };
    assert_eq!((2_000..5_000).filter(|session| !known(session)).count(), 0);
    let lags = service.metrics().samples("bookend_consumer_lag_records");
    assert!(lags.iter().all(|lag| *lag == 0.0), "{lags:?}");
    service.stop();
}

/// A static member waits until its group has forgotten it. Meanwhile there is no membership whose
/// end could be reported.
#[test]
fn each_topic_that_is_created_again_is_reported_also_while_its_consumer_is_no_member() {
    let data = tempfile::tempdir().unwrap();
    let mut flags = Backends::Kafka.flags(data.path());
    let timeout = flags.iter().position(|flag| flag == "--kafka-session-timeout").unwrap();
    flags[timeout + 1] = "15s".to_owned();
    set_up(data.path(), &flags).unwrap();
    let mut command = serve(data.path(), &["--as-of", ENDING_AT, "--kafka-member", "one"]);
    command.args(&flags);
    let service = Service::run(command);
    let posted = service.client().post("/v1/events", &[], &batch(0..3)).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    service.wait_until_answered(3);
    for times in 1..=2 {
        create_again(&service, data.path(), &flags);
        let reported = || service.said().matches("was deleted and created again").count();
        eventually("the new topic is reported", || (reported() == times).then_some(()));
    }
    service.stop();
}
