//! Invalid options and their errors; topics that are created, found, or missing.

use super::*;
use crate::log::LogOpenError;

async fn mistake(options: KafkaLogOptions) -> String {
    match KafkaLog::open(options, Clock::machine()).await {
        Err(LogOpenError::Configuration(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

fn somewhere() -> KafkaLogOptions {
    KafkaLogOptions { brokers: "localhost:1".to_owned(), ..KafkaLogOptions::default() }
}

#[tokio::test]
async fn a_mistake_is_told_by_its_name() {
    let consumer = KafkaLogOptions {
        group_protocol: GroupProtocol::Consumer,
        ..with("heartbeat.interval.ms", "3000")
    };
    let cases: [(KafkaLogOptions, &str); 11] = [
        (consumer, "heartbeat.interval.ms"),
        (KafkaLogOptions { brokers: " ".to_owned(), ..somewhere() }, "kafka-brokers"),
        (KafkaLogOptions { topic: "a b".to_owned(), ..somewhere() }, "kafka-topic"),
        (
            KafkaLogOptions { security: Security::SaslPlaintext, ..somewhere() },
            "user name and a password",
        ),
        (KafkaLogOptions { ca_file: Some("/nowhere.pem".into()), ..somewhere() }, "kafka-ca-file"),
        (
            KafkaLogOptions { session_timeout: Duration::from_secs(9_000), ..somewhere() },
            "kafka-session-timeout",
        ),
        (
            with("no.such.property", "1"),
            "kafka-property: unknown librdkafka property \"no.such.property\"",
        ),
        (
            with("message.timeout.ms", "12000"),
            "kafka-property: the delivery timeout must be above 0 and below --kafka-append-deadline (12s)",
        ),
        (with("delivery.timeout.ms", "0"), "above 0"),
        (with("acks", "1"), "acks"),
        (with("allow.auto.create.topics", "true"), "allow.auto.create.topics must stay false"),
    ];
    for (options, expected) in cases {
        let error = mistake(options).await;
        assert!(error.contains(expected), "{error}");
    }
}

fn with(name: &str, value: &str) -> KafkaLogOptions {
    KafkaLogOptions { properties: vec![(name.to_owned(), value.to_owned())], ..somewhere() }
}

#[cfg(not(feature = "kafka-tls"))]
#[tokio::test]
async fn a_program_without_tls_says_how_to_get_it() {
    let error = mistake(KafkaLogOptions { security: Security::Tls, ..somewhere() }).await;
    assert!(error.contains("kafka-tls"), "{error}");
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let options = KafkaLogOptions {
        security: Security::SaslPlaintext,
        username: Some("app".to_owned()),
        password: Some(shared::config::Secret::new("hunter2")),
        properties: vec![
            ("ssl.key.password".to_owned(), "hunter2".to_owned()),
            ("linger.ms".to_owned(), "hunter2".to_owned()),
        ],
        ..somewhere()
    };
    assert!(!format!("{options:?}").contains("hunter2"));
    assert!(!mistake(options).await.contains("hunter2"));
}

#[tokio::test]
async fn a_setup_made_twice_changes_nothing_and_says_so() {
    let options = absent().await;
    let report = setup(&options, 3, 1).await.unwrap().lines;
    assert_eq!(report[0], format!("created topic {}, partitions: 3", options.topic));
    assert_eq!(report[1], format!("created topic {}.dlq, partitions: 1", options.topic));
    let again = setup(&options, 3, 1).await.unwrap().lines;
    assert_eq!(again[0], format!("topic {} exists, partitions: 3", options.topic));
    assert_eq!(again.len(), 2, "{again:?}");
    open(&options).await.ready().unwrap();
}
