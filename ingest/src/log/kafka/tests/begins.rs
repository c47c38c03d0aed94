//! Where a consumer begins: committed offsets of this topic, of a deleted one, and outside of it;
//! topics that are created again while they are consumed; and records that retention removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};

use super::{
    stack::{Node, Service, Stack},
    *,
};
use crate::log::{Frontier, Partition, Position, TopicId};

/// A client outside of the group that reads and writes its offsets, as an operator's tools do.
fn operator(options: &KafkaLogOptions) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers).set("group.id", &options.group);
    config.create().unwrap()
}

/// Commits `offset` of partition 0 with these metadata, while the group has no members.
async fn commit_as_operator(options: &KafkaLogOptions, offset: i64, metadata: &str) {
    let (options, metadata) = (options.clone(), metadata.to_owned());
    let committing = tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&options.topic, 0, Offset::Offset(offset)).unwrap();
        if !metadata.is_empty() {
            list.elements()[0].set_metadata(&metadata);
        }
        operator(&options).commit(&list, CommitMode::Sync).unwrap();
    });
    committing.await.unwrap();
}

/// The committed offset of partition 0 and its metadata.
async fn committed(options: &KafkaLogOptions) -> (Offset, String) {
    let options = options.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&options.topic, 0);
        let found = operator(&options).committed_offsets(list, LIMIT).unwrap();
        let element = &found.elements()[0];
        (element.offset(), element.metadata().to_owned())
    });
    asking.await.unwrap()
}

/// Removes the records before `low` in `partition`, as retention does.
pub(super) async fn remove_before(options: &KafkaLogOptions, partition: Partition, low: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&options.topic, partition, Offset::Offset(low)).unwrap();
    admin(options).delete_records(&list, &AdminOptions::new()).await.unwrap();
}

async fn topic_of(log: &Log) -> TopicId {
    poll(log, 1).await[0].topic
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_begins_at_a_committed_offset_of_its_own_topic_and_else_at_the_oldest_record() {
    let options = fresh(1).await;
    let log = open(&options).await;
    for n in 0..20 {
        log.append(records(&format!("r{n}"), 1)).await.unwrap();
    }
    let topic = topic_of(&log).await;
    log.close().await;
    remove_before(&options, 0, 5).await;
    let own = format!("bookend.topic_id={topic}");
    let other = format!("bookend.topic_id={}", TopicId::new(1));
    // The committed offset, the expected one, and the number of records that are missed.
    let cases = [
        (Some((10, "")), 10, 0),
        (Some((10, own.as_str())), 10, 0),
        (Some((10, "of another program")), 10, 0),
        (Some((10, other.as_str())), 5, 0),
        (Some((30, own.as_str())), 5, 0),
        (Some((30, "")), 5, 0),
        (Some((2, own.as_str())), 5, 3),
        (Some((2, "")), 5, 3),
        (None, 5, 0),
    ];
    for (number, (before, expected, missed)) in cases.into_iter().enumerate() {
        let options =
            KafkaLogOptions { group: format!("{}-{number}", options.group), ..options.clone() };
        if let Some((offset, metadata)) = before {
            commit_as_operator(&options, offset, metadata).await;
        }
        let log = open(&options).await;
        let at = Position { committed: expected, end: 20 };
        assert_eq!(log.positions(), BTreeMap::from([(0, at)]), "{before:?}");
        let first = poll(&log, 1).await;
        assert_eq!(first[0].offset, expected, "{before:?}");
        assert_eq!(log.take_removed(), missed, "{before:?}");
        log.close().await;
        // What does not count is replaced at once, and an id that is missing is added.
        let now = committed(&options).await;
        assert_eq!(now, (Offset::Offset(expected), own.clone()), "{before:?}");
    }
}

/// Waits until `offset` of partition 0 is committed with the id of a topic, while `log` is polled.
async fn until_it_has_an_id(options: &KafkaLogOptions, log: &Log, offset: i64) {
    let added = async {
        loop {
            let (at, metadata) = committed(options).await;
            if metadata.starts_with("bookend.topic_id=") {
                return at;
            }
        }
    };
    let at = tokio::select! {
        polled = log.poll(1) => panic!("{polled:?}"),
        at = tokio::time::timeout(LIMIT, added) => at.expect("the id is added"),
    };
    assert_eq!(at, Offset::Offset(offset));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_without_an_id_does_not_count_for_the_next_topic_although_nothing_was_consumed() {
    let options = fresh(1).await;
    let log = open(&options).await;
    log.append(records("first", 20)).await.unwrap();
    commit_as_operator(&options, 20, "").await;
    until_it_has_an_id(&options, &log, 20).await;
    log.close().await;
    delete(&options, &options.topic).await;
    let log = open(&options).await;
    setup(&options, 1, 1).await.unwrap();
    until("the topic is back", || log.ready().is_ok()).await;
    log.append(records("second", 50)).await.unwrap();
    let first = poll(&log, 1).await;
    assert_eq!(first[0].offset, 0, "records of the next topic are skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_an_older_member_commits_late_gets_the_id_too() {
    let options = fresh(1).await;
    let log = open(&options).await;
    log.append(records("r", 20)).await.unwrap();
    commit_as_operator(&options, 20, "").await;
    until_it_has_an_id(&options, &log, 20).await;
    // A member that has no partition commits nevertheless, which the brokers allow.
    let member = options.clone();
    let committing = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &member.brokers).set("group.id", &member.group);
        let consumer: BaseConsumer =
            config.set("partition.assignment.strategy", "cooperative-sticky").create().unwrap();
        consumer.subscribe(&[&member.topic]).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&member.topic, 0, Offset::Offset(20)).unwrap();
        let begun = Instant::now();
        while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
            assert!(begun.elapsed() < LIMIT, "{error}");
            consumer.poll(Duration::from_millis(100));
        }
    });
    committing.await.unwrap();
    until_it_has_an_id(&options, &log, 20).await;
}

/// Fails if a lag is negative.
fn assert_lags(log: &Log) {
    for (partition, at) in log.positions() {
        assert!(at.committed <= at.end, "partition {partition}: {at:?}");
    }
}

/// Deletes the topic and creates it with `partitions`; then appends `count` records with `prefix`.
async fn create_again(
    options: &KafkaLogOptions,
    log: &Log,
    partitions: i32,
    prefix: &str,
    count: usize,
) {
    delete(options, &options.topic).await;
    until("the topic is gone", || log.ready().is_err()).await;
    setup(options, partitions, 1).await.unwrap();
    until("the topic is back", || log.ready().is_ok()).await;
    while log.append(records(prefix, count)).await.is_err() {
        assert_lags(log);
    }
}

/// Polls and commits until `count` different values with `prefix` have arrived from another topic
/// than `before`; returns that topic. Until the change is noticed, records come as those of the
/// topic before, and are delivered again.
async fn consume(log: &Log, prefix: &str, count: usize, before: TopicId) -> TopicId {
    let (mut values, mut topic) = (BTreeSet::new(), before);
    while values.len() < count {
        let mut polled = poll(log, 1).await;
        assert_lags(log);
        let frontier = Frontier::after(&polled);
        while log.commit(frontier.clone()).await.is_err() {}
        polled.retain(|record| record.topic != before);
        topic = polled.first().map_or(topic, |record| record.topic);
        let texts = polled.into_iter().map(|record| record.value.unwrap());
        values.extend(texts.filter(|value| value.starts_with(prefix.as_bytes())));
    }
    until("everything is committed", || {
        assert_lags(log);
        let positions = log.positions();
        !positions.is_empty() && positions.values().all(|at| at.committed == at.end)
    })
    .await;
    topic
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_created_again_is_consumed_from_its_beginning() {
    created_again(GroupProtocol::Classic, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_where_the_brokers_deal_the_partitions_out() {
    created_again(GroupProtocol::Consumer, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_with_a_static_member_which_the_group_remembers() {
    created_again(GroupProtocol::Classic, Some("one".to_owned())).await;
}

async fn created_again(group_protocol: GroupProtocol, member: Option<String>) {
    let session_timeout = Duration::from_secs(6);
    let options = KafkaLogOptions { group_protocol, member, session_timeout, ..fresh(4).await };
    let log = open(&options).await;
    log.append(records("first", 200)).await.unwrap();
    let held = poll(&log, 200).await;
    // With fewer partitions. The frontier of the deleted topic comes while the new one is consumed.
    create_again(&options, &log, 2, "second", 300).await;
    while poll(&log, 1).await[0].topic == held[0].topic {}
    log.commit(Frontier::after(&held)).await.unwrap();
    let restarted = open(&options).await;
    let behind: i64 = restarted.positions().values().map(|at| at.end - at.committed).sum();
    assert_eq!(behind, 300, "the frontier of the deleted topic counts");
    log.close().await;
    let second = consume(&restarted, "second", 300, held[0].topic).await;
    assert_eq!(restarted.positions().len(), 2);
    // With more partitions, and the old offset inside the new topic.
    create_again(&options, &restarted, 5, "third", 2_000).await;
    consume(&restarted, "third", 2_000, second).await;
    assert_eq!(restarted.positions().len(), 5);
    // Other processes see it in the same way.
    assert_eq!(open(&options).await.positions(), restarted.positions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_its_way_when_the_topic_goes_does_not_count_for_the_next_one() {
    let options = fresh(1).await;
    let log = open(&options).await;
    log.append(records("first", 50)).await.unwrap();
    let topic = topic_of(&log).await;
    log.close().await;
    delete(&options, &options.topic).await;
    let log = open(&options).await;
    setup(&options, 1, 1).await.unwrap();
    until("the topic is back", || log.ready().is_ok()).await;
    log.append(records("second", 200)).await.unwrap();
    commit_as_operator(&options, 50, &format!("bookend.topic_id={topic}")).await;
    consume(&log, "second", 200, topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_retention_removes_before_they_are_fetched_are_counted() {
    let options = KafkaLogOptions { poll_bytes: 10_000, ..fresh(1).await };
    let log = open(&options).await;
    for n in 0..10 {
        log.append(records(&format!("r{n}"), 50)).await.unwrap();
    }
    let mut polled = poll(&log, 1).await;
    remove_before(&options, 0, 450).await;
    let mut removed = 0;
    until("the loss is counted", || {
        removed += log.take_removed();
        removed > 0
    })
    .await;
    while polled.last().unwrap().offset < 499 {
        polled.extend(poll(&log, 1).await);
    }
    removed += log.take_removed();
    assert!(removed <= 450 && polled.len() as u64 + removed >= 500, "{removed}, {}", polled.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_retention_removes_while_they_are_fetched_are_counted() {
    // The driver continues with the oldest record before the next query.
    let offsets_interval = Duration::from_secs(5);
    let options = KafkaLogOptions { poll_bytes: 10_000, offsets_interval, ..fresh(1).await };
    let log = open(&options).await;
    for n in 0..10 {
        log.append(records(&format!("r{n}"), 50)).await.unwrap();
    }
    let mut polled = poll(&log, 1).await;
    remove_before(&options, 0, 450).await;
    while polled.last().unwrap().offset < 499 {
        polled.extend(poll(&log, 1).await);
    }
    let lost = 500 - polled.len() as u64;
    assert!(lost > 0, "all records were fetched before the others were removed");
    let mut removed = 0;
    until("the loss is counted", || {
        removed += log.take_removed();
        removed > 0
    })
    .await;
    assert_eq!(removed, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_lost_its_end_is_read_again_from_its_beginning() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 1, false)).await.unwrap();
    let options = named(stack.kafka_brokers().to_owned());
    setup(&options, 1, 1).await.unwrap();
    let log = open(&options).await;
    for n in 0..100 {
        log.append(records(&format!("r{n}"), 1)).await.unwrap();
    }
    let polled = poll(&log, 100).await;
    log.commit(Frontier::after(&polled)).await.unwrap();
    // The broker loses half of the partition, as after an unclean election.
    tokio::task::block_in_place(|| {
        stack.kill(Node::Kafka(1));
        let partition = stack.dir().join(format!("kafka-1/data/{}-0", options.topic));
        let segment = partition.join("00000000000000000000.log");
        let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        drop(file);
        stack.start_again(Node::Kafka(1));
    });
    let again = poll(&log, 1).await;
    assert_eq!(again[0].offset, 0);
    until("the lag is that of what is left", || {
        log.positions().values().all(|at| at.committed == 0 && (1..100).contains(&at.end))
    })
    .await;
    let left = usize::try_from(log.positions()[&0].end).unwrap();
    let mut rest = again;
    while rest.last().unwrap().offset + 1 < left as i64 {
        rest.extend(poll(&log, 1).await);
    }
    log.commit(Frontier::after(&rest)).await.unwrap();
    until("everything is committed", || log.positions().values().all(|at| at.committed == at.end))
        .await;
    log.close().await;
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}
