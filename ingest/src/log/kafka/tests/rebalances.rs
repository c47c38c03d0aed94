//! Several consumers in one group: partitions that move, partitions that are added, and members
//! that the group has removed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use super::*;

/// Polls and commits until it is stopped; sends every committed record to `committed`.
async fn consume(
    log: Log,
    committed: mpsc::UnboundedSender<Record>,
    end: tokio::sync::watch::Receiver<bool>,
) {
    loop {
        let mut ended = end.clone();
        let ended = async { drop(ended.wait_for(|end| *end).await) };
        let polled = tokio::select! {
            polled = log.poll(2_000) => polled.unwrap(),
            () = ended => return log.close().await,
        };
        tokio::task::yield_now().await;
        while log.commit(offsets_after(&polled)).await.is_err() {}
        for record in polled {
            committed.send(record).unwrap();
        }
    }
}

/// Appends `rounds` times.
async fn append(log: Log, rounds: usize) {
    for round in 0..rounds {
        log.append(records(&format!("r{round}"), 50)).await.unwrap();
    }
}

/// Receives until `expected` distinct values have arrived; returns all records received.
async fn receive_all(
    receiver: &mut mpsc::UnboundedReceiver<Record>,
    expected: usize,
) -> Vec<Record> {
    let (mut values, mut records) = (BTreeSet::new(), Vec::new());
    while values.len() < expected {
        let record = tokio::time::timeout(LIMIT, receiver.recv()).await;
        let record = record
            .unwrap_or_else(|_| panic!("{} of {expected} have arrived", values.len()))
            .unwrap();
        values.insert(record.value.clone().unwrap());
        records.push(record);
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_members_come_and_go_nothing_is_lost_and_what_is_committed_has_no_gap() {
    members_come_and_go(GroupProtocol::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_where_the_brokers_deal_the_partitions_out() {
    members_come_and_go(GroupProtocol::Consumer).await;
}

async fn members_come_and_go(group_protocol: GroupProtocol) {
    let options = KafkaLogOptions { group_protocol, ..fresh(6).await };
    let (committed, mut receiver) = mpsc::unbounded_channel();
    let (end, ended) = tokio::sync::watch::channel(false);
    let first = open(&options).await;
    let one = tokio::spawn(consume(first.clone(), committed.clone(), ended));
    let appending = tokio::spawn(append(first.clone(), 400));
    let mut records = receive_all(&mut receiver, 2_000).await;
    for _ in 0..2 {
        let second = open(&options).await;
        let (end, ended) = tokio::sync::watch::channel(false);
        let other = tokio::spawn(consume(second.clone(), committed.clone(), ended));
        until("partitions have moved", || second.rebalances() > 0).await;
        end.send_replace(true);
        other.await.unwrap();
    }
    appending.await.unwrap();
    let known: BTreeSet<_> = records.iter().map(|record| record.value.clone()).collect();
    let left = 400 * 50 - known.len();
    // Of the rest, only values that have not arrived before count.
    let mut values = known;
    while values.len() < 400 * 50 {
        let record = tokio::time::timeout(LIMIT, receiver.recv())
            .await
            .unwrap_or_else(|_| panic!("{left} have not arrived"));
        let record = record.unwrap();
        values.insert(record.value.clone());
        records.push(record);
    }
    let mut offsets: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for record in &records {
        offsets.entry(record.partition).or_default().insert(record.offset);
    }
    until("everything is committed", || {
        first.positions().values().all(|at| at.committed == at.end)
    })
    .await;
    for (partition, at) in first.positions() {
        assert_eq!(offsets[&partition], (0..at.end).collect(), "partition {partition}");
    }
    // A partition moves after its polled records are committed, so hardly any record is delivered
    // twice.
    assert!(records.len() < 400 * 50 + 2_000, "{}", records.len());
    until("it owns all partitions again", || first.rebalances() >= 3).await;
    end.send_replace(true);
    one.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_are_consumed_from_their_beginning() {
    let mut options = fresh(2).await;
    options.properties.push(("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned()));
    let log = open(&options).await;
    log.append(records("before", 100)).await.unwrap();
    let polled = poll(&log, 100).await;
    log.commit(offsets_after(&polled)).await.unwrap();
    let admin: rdkafka::admin::AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap();
    let more = rdkafka::admin::NewPartitions::new(&options.topic, 4);
    admin.create_partitions([&more], &rdkafka::admin::AdminOptions::new()).await.unwrap()[0]
        .clone()
        .unwrap();
    // Another process may append to a partition before this one knows of it.
    let other = open(&options).await;
    other.append(records("after", 100)).await.unwrap();
    let polled = poll(&log, 100).await;
    assert_eq!(
        polled.iter().map(|record| record.partition).collect::<BTreeSet<_>>(),
        (0..4).collect()
    );
    log.commit(offsets_after(&polled)).await.unwrap();
    until("all four partitions are known", || log.positions().len() == 4).await;
    until("everything is committed", || log.positions().values().all(|at| at.committed == at.end))
        .await;
}

/// The slow member keeps its partitions for longer than the group waits for it, so other members
/// own them when it commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_the_group_has_given_up_is_harmless_and_comes_back() {
    let options = fresh(2).await;
    let six = || "6000".to_owned();
    let slow = KafkaLogOptions {
        revoke_timeout: Duration::from_secs(20),
        session_timeout: Duration::from_secs(6),
        properties: vec![("max.poll.interval.ms".to_owned(), six())],
        ..options.clone()
    };
    let slow = open(&slow).await;
    slow.append(records("r", 100)).await.unwrap();
    let held = poll(&slow, 100).await;
    let quick = open(&options).await;
    // It is assigned a part at once, and the rest when the group has removed the slow member.
    let mut polled = poll(&quick, 1).await;
    while polled
        .iter()
        .map(|record| (record.partition, record.offset))
        .collect::<BTreeSet<_>>()
        .len()
        < 100
    {
        polled.extend(poll(&quick, 1).await);
    }
    quick.commit(offsets_after(&polled)).await.unwrap();
    quick.append(records("s", 100)).await.unwrap();
    let more = poll(&quick, 1).await;
    quick.commit(offsets_after(&more)).await.unwrap();
    let before = quick.positions();
    // The slow member's offsets are before the committed ones. Refused or skipped, its commit moves
    // nothing back.
    drop(slow.commit(offsets_after(&held)).await);
    let now = open(&options).await.positions();
    for (partition, at) in &before {
        assert!(now[partition].committed >= at.committed, "{before:?} {now:?}");
    }
    quick.close().await;
    drop(quick);
    // As the only member again, it consumes the rest.
    let left: i64 = now.values().map(|at| at.end - at.committed).sum();
    let mut rest = poll(&slow, usize::try_from(left).unwrap()).await;
    rest.retain(|record| record.value.as_ref().unwrap().starts_with(b"s"));
    while slow.commit(offsets_after(&rest)).await.is_err() {}
    until("everything is committed", || slow.positions().values().all(|at| at.committed == at.end))
        .await;
}
