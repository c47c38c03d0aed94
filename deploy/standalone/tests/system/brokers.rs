//! Topics as other programs made them: what `setup` and each process say about their settings.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
};
use serde_json::Value;
use shared::clock::Clock;
use test_support::quota::limit_producer;

use crate::{
    backends::Backends,
    data::Chance,
    service::{BOOKEND, Service, eventually, pause, serve},
    stack::{Node, Service as Server, Stack},
};

/// Creates `topic` with these settings, as another program does.
fn create(topic: &str, settings: &[(&str, &str)]) {
    let brokers = Stack::shared_plain().kafka_brokers();
    let admin: AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    new.config.extend(settings);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let created = runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    created[0].clone().unwrap();
}

#[test]
fn a_compacted_topic_fails_the_setup_and_is_an_error_of_each_process_that_is_served_anyhow() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let topic = flags[flags.iter().position(|flag| flag == "--kafka-topic").unwrap() + 1].clone();
    create(&topic, &[("cleanup.policy", "compact,delete")]);

    let mut setup = Command::new(BOOKEND);
    setup.env_clear().args(["setup", "--json", "--data-dir"]).arg(data.path()).args(&flags);
    let done = setup.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("run `bookend setup` again"), "{said}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let line = format!("error: topic {topic}: cleanup.policy=compact,delete: records of one user");
    let lines = report["log"].as_array().unwrap();
    assert!(lines.iter().any(|one| one.as_str().unwrap().starts_with(&line)), "{report}");

    let mut command = serve(data.path(), &[]);
    command.args(flags);
    let service = Service::run(command);
    let series = r#"bookend_kafka_topic_findings{finding="compaction",topic="events"}"#;
    eventually("the metric shows it", || (service.metrics().sum(series) == 1.0).then_some(()));
    let said = service.said();
    let errors: Vec<_> = said.lines().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(errors[0].contains(&format!("topic {topic}: cleanup.policy=compact,delete")), "{said}");
    service.stop();
}

/// A start with a random user and session of the longest length.
fn long_start(chance: &mut Chance) -> String {
    let mut id = || -> String {
        std::iter::repeat_with(|| char::from(b'a' + u8::try_from(chance.below(26)).unwrap()))
            .take(128)
            .collect()
    };
    let (user, session) = (id(), id());
    let ts = Clock::machine().now();
    format!(r#"[{{"user_id":"{user}","session_id":"{session}","event":"start","ts":"{ts}"}}]"#)
}

#[test]
fn an_event_that_the_topic_does_not_take_is_log_refused_and_counted_and_the_process_is_not_ready() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let topic = flags[flags.iter().position(|flag| flag == "--kafka-topic").unwrap() + 1].clone();
    create(&topic, &[("max.message.bytes", "300")]);
    create(&format!("{topic}.dlq"), &[]);
    let mut command = serve(data.path(), &[]);
    command.args(flags);
    let service = Service::begin(command);
    let ready = eventually("the process is not ready", || {
        service.client().get("/readyz").ok().filter(|reply| reply.status == 503)
    });
    let cause = ready.text();
    assert!(cause.contains(&format!("topic {topic}: max.message.bytes=300: ")), "{cause}");

    let mut chance = Chance::new(71);
    for _ in 0..20 {
        let reply = service.client().post("/v1/events", &[], long_start(&mut chance).as_bytes());
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("60")));
        assert_eq!(reply.json()["error"]["code"], "log_refused");
    }
    let refused = r#"bookend_log_refusals_total{cause="too_large"}"#;
    assert_eq!(service.metrics().sum(refused), 20.0);
    let said = service.said();
    let lines = said.lines().filter(|line| line.contains("a batch was refused")).count();
    assert!((1..=5).contains(&lines), "{said}");
    assert!(said.contains("raise it as `bookend setup` says"), "{said}");
    // An event that fits is served.
    let ts = Clock::machine().now();
    let small = format!(r#"[{{"user_id":"u","session_id":"s","event":"end","ts":"{ts}"}}]"#);
    assert_eq!(service.client().post("/v1/events", &[], small.as_bytes()).unwrap().status, 200);
    service.stop();
}

#[test]
fn an_outage_of_the_brokers_is_logged_in_a_bounded_number_of_lines() {
    let stack = Stack::own_only(Server::Kafka, 1, false);
    let data = tempfile::tempdir().unwrap();
    let flags =
        ["--log", "kafka", "--kafka-brokers", stack.kafka_brokers(), "--kafka-replication", "1"];
    let setup = Command::new(BOOKEND).env_clear().arg("setup").args(flags).output().unwrap();
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    let mut command = serve(data.path(), &[]);
    command.args(flags);
    let service = Service::run(command);
    stack.kill(Node::Kafka(1));
    eventually("the process is not ready", || {
        service.client().get("/readyz").ok().filter(|reply| reply.status == 503)
    });
    let before = service.said().lines().count();
    for _ in 0..100 {
        let reply =
            service.client().post("/v1/events", &[], long_start(&mut Chance::new(72)).as_bytes());
        assert_eq!(reply.unwrap().status, 503);
    }
    let said = service.said();
    let lines = said.lines().count() - before;
    assert!((1..20).contains(&lines), "{lines} lines: {said}");
    assert!(!said.contains("brokers are down"), "{said}");
}

#[test]
fn a_service_over_its_quota_refuses_at_once_says_for_how_long_and_then_serves() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::Kafka.flags(data.path());
    let topic = flags[flags.iter().position(|flag| flag == "--kafka-topic").unwrap() + 1].clone();
    // The quota is only for this test's client.
    let client = format!("client.id={topic}");
    // With one partition and time to fill it, a batch is one request, which the brokers take whole.
    // A second request would wait for the throttle of the first and then bring its own.
    let whole = ["--kafka-property", "linger.ms=200", "--log-partitions", "1"];
    let more = [["--kafka-property", &client].as_slice(), &whole].concat();
    let service = Backends::Kafka.start(data.path(), &more);
    limit_producer(Stack::shared_plain().kafka_brokers(), &topic, Some(3_000.0));
    let mut chance = Chance::new(73);
    let starts: Vec<_> = (0..300).map(|_| long_start(&mut chance)).collect();
    let batch = starts.concat().replace("][", ",");
    assert_eq!(service.client().post("/v1/events", &[], batch.as_bytes()).unwrap().status, 200);
    let throttled = || service.metrics().sum("bookend_kafka_throttled_seconds_total");
    eventually("the throttle is noticed", || (throttled() > 0.0).then_some(()));

    let (mut refused, begun) = (0, Instant::now());
    let served = eventually("the service accepts again", || {
        let asked = Instant::now();
        let reply = service.client().post("/v1/events", &[], starts[0].as_bytes()).unwrap();
        if reply.status == 200 {
            return Some(begun.elapsed());
        }
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &"unavailable".into()));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((2..=60).contains(&wait), "{wait}");
        refused += 1;
        // An endpoint that is throttled stays in service.
        assert_eq!(service.client().get("/readyz").unwrap().status, 200);
        pause(Duration::from_secs(1));
        None
    });
    assert!(refused > 2, "{refused} in {served:?}");
    assert!(throttled() + 1.0 > served.as_secs_f64() - 3.0, "{} of {served:?}", throttled());
    assert!(service.said().contains("producer_byte_rate"), "{}", service.said());
    limit_producer(Stack::shared_plain().kafka_brokers(), &topic, None);
    service.stop();
}
