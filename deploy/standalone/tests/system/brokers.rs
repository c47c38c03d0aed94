//! Topics as other programs made them: what `setup` and each process say about their settings.

use std::process::Command;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
};
use serde_json::Value;

use crate::{
    backends::Backends,
    service::{BOOKEND, Service, eventually, serve},
    stack::Stack,
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
