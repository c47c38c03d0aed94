//! Topics with settings that endanger events: what `setup` and a running process say about them.

use prometheus::{Registry, TextEncoder};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use shared::event::SessionEvent;

use super::*;
use crate::log::kafka::findings::rules::Needs;

/// An administrator of the brokers.
fn admin(options: &KafkaLogOptions) -> AdminClient<rdkafka::client::DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap()
}

/// Creates a topic with these settings, as another program does.
pub(super) async fn create(
    options: &KafkaLogOptions,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    topic.config.extend(settings);
    let created = admin(options).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    created[0].clone().unwrap();
}

/// Replaces the settings of a topic. The brokers apply them a moment later.
pub(super) async fn alter(options: &KafkaLogOptions, name: &str, settings: &[(&str, &str)]) {
    let mut topic = AlterConfig::new(ResourceSpecifier::Topic(name));
    topic.entries.extend(settings.iter().copied());
    let altered = admin(options).alter_configs([&topic], &AdminOptions::new()).await.unwrap();
    assert!(altered[0].is_ok(), "{altered:?}");
}

/// The value of `bookend_kafka_topic_findings`.
fn found(registry: &Registry, topic: &str, finding: &str) -> String {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let series = format!(r#"bookend_kafka_topic_findings{{finding="{finding}",topic="{topic}"}} "#);
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().to_owned()
}

#[tokio::test]
async fn a_setup_fails_where_records_of_a_user_would_replace_each_other() {
    for policy in ["compact", "compact,delete"] {
        let options = absent().await;
        create(&options, &options.topic, 1, &[("cleanup.policy", policy)]).await;
        let report = setup(&options, 1, 1).await.unwrap();
        let said = format!("error: topic {}: cleanup.policy={policy}: ", options.topic);
        assert!(report.lines.iter().any(|line| line.starts_with(&said)), "{report:?}");
        assert_eq!(report.faults, 1);
    }
}

#[tokio::test]
async fn a_setup_names_each_setting_that_endangers_events_of_both_topics() {
    let options = absent().await;
    let events = [("max.message.bytes", "300"), ("retention.ms", "60000")];
    create(&options, &options.topic, 1, &events).await;
    let letters = [("max.message.bytes", "20000"), ("cleanup.policy", "compact")];
    create(&options, &options.letters_topic(), 1, &letters).await;
    let report = setup(&options, 1, 1).await.unwrap();
    let (topic, letters) = (&options.topic, options.letters_topic());
    let expected = [
        format!(
            "error: topic {topic}: max.message.bytes=300: the brokers refuse events with long ids"
        ),
        format!("warning: topic {topic}: retention.ms=60000: events are lost"),
        format!("warning: topic {topic}: message.timestamp.type=CreateTime: the time of a record"),
        format!("warning: topic {letters}: max.message.bytes=20000: dead letters that are sent"),
        format!("error: topic {letters}: cleanup.policy=compact: dead letters of one user"),
    ];
    let found: Vec<_> = report.lines.iter().filter(|line| !line.starts_with("topic ")).collect();
    assert_eq!(found.len(), expected.len(), "{report:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    assert_eq!(report.faults, 2);
}

#[tokio::test]
async fn a_new_topic_that_inherits_an_unusable_setting_of_the_brokers_is_found() {
    let options = absent().await;
    // As a default of the brokers does, when fewer replicas are asked for.
    create(&options, &options.topic, 1, &[("min.insync.replicas", "2")]).await;
    let report = setup(&options, 1, 1).await.unwrap();
    let said = format!("error: topic {}: min.insync.replicas=2: the brokers refuse", options.topic);
    assert!(report.lines.iter().any(|line| line.starts_with(&said)), "{report:?}");
}

#[tokio::test]
async fn a_process_sees_a_setting_that_changes_and_is_not_ready_while_an_event_may_not_fit() {
    let settings_interval = Duration::from_millis(100);
    let options = KafkaLogOptions { settings_interval, ..fresh(1).await };
    let (log, registry) = (open(&options).await, Registry::new());
    log.watch(&registry).unwrap();
    assert_eq!(found(&registry, "events", "record_limit"), "0");
    alter(&options, &options.topic, &[("max.message.bytes", "300"), ("cleanup.policy", "compact")])
        .await;
    until("the process is not ready", || log.ready().is_err()).await;
    let cause = log.ready().unwrap_err().to_string();
    assert!(cause.contains(&format!("topic {}: max.message.bytes=300", options.topic)), "{cause}");
    for (finding, value) in [("record_limit", "1"), ("compaction", "1"), ("batch_limit", "0")] {
        assert_eq!(found(&registry, "events", finding), value, "{finding}");
    }
    alter(&options, &options.topic, &[]).await;
    until("the process is ready", || log.ready().is_ok()).await;
    until("nothing is found", || found(&registry, "events", "compaction") == "0").await;
    // The topic has the brokers' own type of timestamps now.
    until("that is found", || found(&registry, "events", "create_time") == "1").await;
    log.append(records("served", 3)).await.unwrap();
    assert_eq!(poll(&log, 3).await.len(), 3);
}

#[tokio::test]
async fn the_largest_event_fits_where_the_limit_has_no_finding() {
    let options = absent().await;
    let needs = Needs::of(&options).unwrap();
    let least = needs.event.to_string();
    create(&options, &options.topic, 1, &[("max.message.bytes", &least)]).await;
    setup(&options, 1, 1).await.unwrap();
    // A set clock adds a header.
    let then = shared::timestamp::Timestamp::parse("2019-05-13T12:00:00Z").unwrap();
    let log = KafkaLog::open(options, Clock::starting_at(then)).await.unwrap();
    let log = Log::Kafka(log);
    // Nothing that a compression makes smaller.
    let mut random = 1_u64;
    let mut text = |length| -> Vec<u8> {
        std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .take(length)
        .collect()
    };
    let key = Bytes::from(text(128));
    log.append(vec![NewRecord::new(key, text(SessionEvent::LONGEST_JSON).into())]).await.unwrap();
}
