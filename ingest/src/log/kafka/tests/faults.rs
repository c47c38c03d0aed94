//! Brokers that are down or hang, and appends beyond the bound.

use std::{collections::BTreeSet, time::Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{
    begins::remove_before,
    stack::{Node, Service, Stack},
    *,
};

fn is_busy(outcome: Result<(), LogError>) -> bool {
    matches!(outcome, Err(LogError::Busy(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_appends_are_refused_at_once_and_after_their_return_all_goes_on() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 1, false)).await.unwrap();
    let options = named(stack.kafka_brokers().to_owned());
    setup(&options, 2, 1).await.unwrap();
    let log = open(&options).await;
    log.append(records("before", 10)).await.unwrap();
    let polled = poll(&log, 10).await;
    log.commit(offsets_after(&polled)).await.unwrap();
    tokio::task::block_in_place(|| stack.kill(Node::Kafka(1)));
    until("no broker can be reached", || log.ready().is_err()).await;
    let cause = log.ready().unwrap_err().to_string();
    let told = format!("no broker can be reached at {}", options.brokers);
    assert!(cause.contains(&told) && !cause.contains("brokers are down"), "{cause}");
    let begun = Instant::now();
    assert!(is_busy(log.append(records("refused", 10)).await));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(log.queued(), 0);
    // A process that starts meanwhile opens its log without a broker.
    let other = open(&options).await;
    let begun = Instant::now();
    assert!(is_busy(other.append(records("refused", 10)).await));
    assert!(begun.elapsed() < options.append_deadline, "{:?}", begun.elapsed());
    tokio::task::block_in_place(|| stack.start_again(Node::Kafka(1)));
    until("a broker can be reached", || log.ready().is_ok() && other.ready().is_ok()).await;
    other.append(records("other", 10)).await.unwrap();
    log.append(records("after", 10)).await.unwrap();
    let polled = poll(&log, 20).await;
    // No refused record was appended after all.
    assert!(polled.iter().all(|record| !record.value.as_ref().unwrap().starts_with(b"refused")));
    log.commit(offsets_after(&polled)).await.unwrap();
    until("everything is committed", || log.positions().values().all(|at| at.committed == at.end))
        .await;
    log.close().await;
    drop((log, other));
    tokio::task::block_in_place(|| drop(stack));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_a_leader_stops_no_other() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 3, false)).await.unwrap();
    let options = named(stack.kafka_brokers().to_owned());
    // Each broker leads two partitions, which have no other replica.
    setup(&options, 6, 1).await.unwrap();
    let log = open(&options).await;
    log.append(records("u", 100)).await.unwrap();
    tokio::task::block_in_place(|| stack.kill(Node::Kafka(3)));
    let mut partitions = BTreeSet::new();
    let deliver = async |log: &Log, partitions: &mut BTreeSet<i32>, count| {
        while partitions.len() < count {
            let polled = log.poll(1 << 20).await.unwrap();
            partitions.extend(polled.iter().map(|record| record.partition));
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, deliver(&log, &mut partitions, 4)).await.unwrap();
    assert_eq!(log.positions().len(), 6, "those without a leader are not forgotten");
    tokio::task::block_in_place(|| stack.start_again(Node::Kafka(3)));
    tokio::time::timeout(limit, deliver(&log, &mut partitions, 6)).await.unwrap();
    log.close().await;
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}

/// The broker that leads partition 0.
async fn leader(options: &KafkaLogOptions) -> Node {
    let options = options.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap();
        let found = client.fetch_metadata(Some(&options.topic), LIMIT).unwrap();
        Node::Kafka(u8::try_from(found.topics()[0].partitions()[0].leader()).unwrap())
    });
    asking.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_leaderless_partitions_only_keeps_them_and_begins_where_it_must() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 3, false)).await.unwrap();
    let options = named(stack.kafka_brokers().to_owned());
    setup(&options, 1, 1).await.unwrap();
    let log = open(&options).await;
    log.append(records("u", 10)).await.unwrap();
    remove_before(&options, 0, 5).await;
    poll(&log, 5).await;
    log.commit(Offsets::from([(0, 8)])).await.unwrap();
    log.close().await;
    let new = KafkaLogOptions { group: format!("{}-new", options.group), ..options.clone() };
    let leader = leader(&options).await;
    tokio::task::block_in_place(|| stack.stop(leader));
    let groups = [(open(&options).await, 8), (open(&new).await, 5)];
    let mut polls = Vec::new();
    for (log, _) in &groups {
        let log = log.clone();
        polls.push(tokio::spawn(async move { poll(&log, 1).await }));
    }
    until("the partition is assigned", || groups.iter().all(|(log, _)| log.held().len() == 1))
        .await;
    let assigned = groups.each_ref().map(|(log, _)| log.rebalances());
    let (begun, mut pace) = (Instant::now(), tokio::time::interval(Duration::from_millis(100)));
    while begun.elapsed() < Duration::from_secs(10) {
        assert_eq!(groups.each_ref().map(|(log, _)| log.rebalances()), assigned);
        pace.tick().await;
    }
    tokio::task::block_in_place(|| stack.cont(leader));
    for (polled, (log, begin)) in polls.into_iter().zip(groups) {
        assert_eq!(polled.await.unwrap()[0].offset, begin);
        until("its end is known again", || log.positions()[&0].end == 10).await;
        assert_eq!(log.take_removed(), 0);
        log.close().await;
    }
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_costs_an_append_its_time_and_more_than_there_is_room_for_none() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 1, false)).await.unwrap();
    let options = KafkaLogOptions {
        append_bytes: 1 << 20,
        delivery_timeout: Duration::from_secs(2),
        ..named(stack.kafka_brokers().to_owned())
    };
    setup(&options, 2, 1).await.unwrap();
    let log = open(&options).await;
    log.append(records("before", 10)).await.unwrap();
    tokio::task::block_in_place(|| stack.stop(Node::Kafka(1)));
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(vec![record("u", vec![b'x'; 700_000])]).await }
    });
    until("it waits", || log.queued() == 1).await;
    let at_once = Instant::now();
    assert!(is_busy(log.append(vec![record("u", vec![b'x'; 700_000])]).await));
    assert!(at_once.elapsed() < Duration::from_secs(1), "{:?}", at_once.elapsed());
    assert!(is_busy(waiting.await.unwrap()));
    assert!(begun.elapsed() < options.append_deadline, "{:?}", begun.elapsed());
    tokio::task::block_in_place(|| stack.cont(Node::Kafka(1)));
    let mut outcome = log.append(records("after", 10)).await;
    while is_busy(outcome) && begun.elapsed() < LIMIT {
        outcome = log.append(records("after", 10)).await;
    }
    log.append(records("after", 10)).await.unwrap();
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}
