//! Topics that are missing, deleted, or created again while the log is open.

use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{
    stack::{Node, Service, Stack},
    *,
};
use crate::log::{DeadLetter, DeadLetterCode};

/// How long an append may take to be refused because its topic is missing.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// How long appends may be refused after the topic was created.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Whether `outcome` says that a topic is missing.
fn is_missing(outcome: &Result<(), LogError>) -> bool {
    matches!(outcome, Err(LogError::Busy(cause)) if cause.contains("does not exist; run `bookend setup`"))
}

/// Appends once; returns the outcome and the time that it took.
async fn timed(log: &Log) -> (Result<(), LogError>, Duration) {
    let begun = Instant::now();
    let outcome = log.append(records("r", 5)).await;
    (outcome, begun.elapsed())
}

/// Waits until appends are taken again, which must be soon after `created`.
async fn back(log: &Log, created: Instant) {
    while timed(log).await.0.is_err() || log.ready().is_err() {
        assert!(created.elapsed() < BACK_WITHIN, "{:?}", log.ready());
        tokio::task::yield_now().await;
    }
}

/// The names of all topics.
async fn topics(options: &KafkaLogOptions) -> Vec<String> {
    let brokers = options.brokers.clone();
    let names = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        let client: BaseConsumer = config.set("bootstrap.servers", brokers).create().unwrap();
        let found = client.fetch_metadata(None, LIMIT).unwrap();
        found.topics().iter().map(|topic| topic.name().to_owned()).collect()
    });
    names.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_create_topics_by_themselves_create_none_for_us() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 1, false)).await.unwrap();
    let broker = Node::Kafka(1);
    tokio::task::block_in_place(|| stack.kill(broker));
    stack.set_kafka_properties("auto.create.topics.enable=true\n");
    let options = named(stack.kafka_brokers().to_owned());
    let log = open(&options).await;
    until("no broker can be reached", || log.ready().is_err()).await;
    tokio::task::block_in_place(|| stack.start_again(broker));
    let consuming = tokio::spawn({
        let log = log.clone();
        async move { log.poll(1_000).await }
    });
    let (begun, mut pace) = (Instant::now(), tokio::time::interval(Duration::from_millis(100)));
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(log.append(records("r", 5)).await.is_err());
        let letter = log.dead_letter(vec![letter()]).await;
        assert!(letter.is_err());
        pace.tick().await;
    }
    assert!(is_missing(&log.ready()), "{:?}", log.ready());
    assert!(is_missing(&log.append(records("r", 5)).await));
    let found = topics(&options).await;
    assert!(!found.iter().any(|name| name.starts_with(&options.topic)), "{found:?}");
    setup(&options, 3, 1).await.unwrap();
    let created = Instant::now();
    back(&log, created).await;
    consuming.await.unwrap().unwrap();
    assert!(created.elapsed() < BACK_WITHIN, "{:?}", created.elapsed());
    log.close().await;
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_topic_is_missing_an_append_is_refused_at_once_and_taken_soon_after_setup() {
    let options = absent().await;
    let log = open(&options).await;
    for _ in 0..3 {
        let (outcome, took) = timed(&log).await;
        assert!(is_missing(&outcome), "{outcome:?}");
        assert!(took < REFUSED_WITHIN, "{took:?}");
        assert!(is_missing(&log.ready()));
    }
    setup(&options, 3, 1).await.unwrap();
    back(&log, Instant::now()).await;
    // Records in flight when the topic is deleted are refused too.
    let appending = tokio::spawn({
        let log = log.clone();
        async move {
            let mut longest = Duration::ZERO;
            loop {
                let (outcome, took) = timed(&log).await;
                longest = longest.max(took);
                if is_missing(&outcome) && is_missing(&log.ready()) {
                    return longest;
                }
            }
        }
    });
    delete(&options, &options.topic).await;
    let longest = appending.await.unwrap();
    assert!(longest < REFUSED_WITHIN, "{longest:?}");
    // The topic of the dead letters is still there.
    setup(&options, 2, 1).await.unwrap();
    back(&log, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_fails_if_the_topic_is_created_again_before_its_end() {
    let options = fresh(1).await;
    let log = open(&options).await;
    for n in 0..10 {
        log.append(records(&format!("r{n}"), 10)).await.unwrap();
    }
    let mut cursor = log.cursor();
    assert_eq!(log.read(&mut cursor, 1).await.unwrap().len(), 1);
    delete(&options, &options.topic).await;
    until("the topic is gone", || log.ready().is_err()).await;
    setup(&options, 1, 1).await.unwrap();
    back(&log, Instant::now()).await;
    let outcome = loop {
        match log.read(&mut cursor, 1 << 20).await {
            Ok(records) if !records.is_empty() => {}
            outcome => break outcome,
        }
    };
    assert!(outcome.is_err(), "a read of two topics came to its end");
}

/// A dead letter.
fn letter() -> DeadLetter {
    let record = Record { value: Some(Bytes::from_static(b"x")), ..Record::default() };
    DeadLetter { code: DeadLetterCode::Panicked, record }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_topic_of_the_dead_letters_only_the_consumer_is_not_ready() {
    let options = fresh(2).await;
    let log = open(&options).await;
    log.ready_to_consume().unwrap();
    delete(&options, &options.letters_topic()).await;
    until("the consumer is not ready", || is_missing(&log.ready_to_consume())).await;
    log.ready().unwrap();
    log.append(records("r", 5)).await.unwrap();
    let refused = log.dead_letter(vec![letter()]).await;
    assert!(is_missing(&refused), "{refused:?}");
    setup(&options, 2, 1).await.unwrap();
    until("the consumer is ready", || log.ready_to_consume().is_ok()).await;
    log.dead_letter(vec![letter()]).await.unwrap();
}
