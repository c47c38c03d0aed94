//! The id of a topic on a real broker: the same in every reply, another one after the topic was
//! created again, and none for a topic that does not exist.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    process,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    types::RDKafkaErrorCode,
};
use test_support::stack::Stack;
use topic_ids::describe;

const LIMIT: Duration = Duration::from_secs(30);

/// Runs `work` to its end.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", Stack::shared_plain().kafka_brokers());
    config
}

fn create(admin: &AdminClient<DefaultClientContext>, name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    wait(admin.create_topics([&topic], &AdminOptions::new())).unwrap()[0].clone().unwrap();
}

/// Describes `name` until `done` accepts the outcome: brokers learn of a change one by one.
fn until(
    client: &BaseConsumer,
    name: &str,
    done: impl Fn(&Result<u128, Option<RDKafkaErrorCode>>) -> bool,
) -> u128 {
    let begun = Instant::now();
    loop {
        let outcome =
            describe(client.client(), name, LIMIT).map_err(|error| error.rdkafka_error_code());
        if done(&outcome) {
            return outcome.unwrap_or(0);
        }
        assert!(begun.elapsed() < LIMIT, "{outcome:?}");
    }
}

#[test]
fn a_topic_has_one_id_until_it_is_created_again() {
    let name = format!("topic-ids-{}", process::id());
    let admin: AdminClient<_> = config().create().unwrap();
    let client: BaseConsumer = config().create().unwrap();
    until(&client, &name, |outcome| {
        *outcome == Err(Some(RDKafkaErrorCode::UnknownTopicOrPartition))
    });
    create(&admin, &name, 3);
    let first = until(&client, &name, Result::is_ok);
    assert_ne!(first, 0);
    let other: AdminClient<_> = config().create().unwrap();
    assert_eq!(describe(other.inner(), &name, LIMIT).unwrap(), first);
    wait(admin.delete_topics(&[&name], &AdminOptions::new())).unwrap()[0].clone().unwrap();
    until(&client, &name, Result::is_err);
    create(&admin, &name, 2);
    let second = until(&client, &name, Result::is_ok);
    assert_ne!(second, first);
}

#[test]
fn an_invalid_name_or_no_broker_is_an_error() {
    let client: BaseConsumer = config().create().unwrap();
    describe(client.client(), "a\0b", LIMIT).unwrap_err();
    let error = describe(client.client(), "", LIMIT).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidArgument));
    let nowhere: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
    let begun = Instant::now();
    describe(nowhere.client(), "some", Duration::from_millis(200)).unwrap_err();
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
}
