//! Committed records are not delivered again; all others are.

use std::collections::BTreeMap;

use bytes::Bytes;
use ingest::log::{Log, NewRecord, Offsets, Position};

use crate::{Backend, contract, poll, poll_exactly, record, records};

contract!(
    what_was_polled_and_not_committed_comes_back,
    what_was_committed_does_not_come_back,
    of_a_partition_committed_in_part_the_rest_comes_back,
    of_partitions_committed_in_part_each_rest_comes_back,
    a_commit_only_goes_forward,
    a_commit_past_the_end_does_not_pass_over_what_comes_later,
    a_partition_that_does_not_exist_is_not_committed,
    commits_at_once_leave_the_greatest_of_each_partition,
    positions_tell_the_end_and_what_is_committed,
    an_append_is_not_queued_once_it_is_durable,
);

fn all_ends(log: &Log) -> Offsets {
    log.positions().iter().map(|(partition, position)| (*partition, position.end)).collect()
}

async fn what_was_polled_and_not_committed_comes_back(backend: &impl Backend) {
    let all = records("r", 9, 30);
    let log = backend.open().await;
    for part in all.chunks(4) {
        log.append(part.to_vec()).await.unwrap();
    }
    poll(&log, 30).await;
    drop(log);
    poll_exactly(&backend.open().await, &all).await;
}

async fn what_was_committed_does_not_come_back(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(records("r", 9, 30)).await.unwrap();
    poll(&log, 30).await;
    log.commit(all_ends(&log)).await.unwrap();
    drop(log);
    poll_exactly(&backend.open().await, &[]).await;
}

async fn of_a_partition_committed_in_part_the_rest_comes_back(backend: &impl Backend) {
    let log = backend.open().await;
    let all: Vec<_> = (0..20).map(|n| record("a", n.to_string())).collect();
    for part in all.chunks(3) {
        log.append(part.to_vec()).await.unwrap();
    }
    let polled = poll(&log, 20).await;
    log.commit(Offsets::from([(polled[0].partition, 7)])).await.unwrap();
    drop(log);
    let log = backend.open().await;
    let again = poll(&log, 13).await;
    assert_eq!(again[0].offset, 7);
    assert_eq!(again, polled[7..]);
}

async fn of_partitions_committed_in_part_each_rest_comes_back(backend: &impl Backend) {
    let log = backend.open().await;
    for round in 0..6 {
        log.append(records(&format!("r{round}"), 12, 24)).await.unwrap();
    }
    let polled = poll(&log, 144).await;
    // A different part of each partition: nothing of one, everything of another.
    let mut offsets = all_ends(&log);
    for (partition, offset) in &mut offsets {
        *offset = *offset * i64::from(*partition) / i64::from(backend.partitions() - 1);
    }
    log.commit(offsets.clone()).await.unwrap();
    drop(log);
    let left = polled.iter().filter(|record| record.offset >= offsets[&record.partition]);
    let left: Vec<_> =
        left.map(|r| NewRecord::new(r.key.clone().unwrap(), r.value.clone().unwrap())).collect();
    assert!(!left.is_empty() && left.len() < polled.len());
    poll_exactly(&backend.open().await, &left).await;
}

async fn a_commit_only_goes_forward(backend: &impl Backend) {
    let log = backend.open().await;
    log.append((0..9).map(|n| record("a", n.to_string())).collect()).await.unwrap();
    let partition = poll(&log, 9).await[0].partition;
    log.commit(Offsets::from([(partition, 5)])).await.unwrap();
    log.commit(Offsets::from([(partition, 2)])).await.unwrap();
    log.commit(Offsets::from([(partition, -1)])).await.unwrap();
    assert_eq!(log.positions()[&partition].committed, 5);
    drop(log);
    assert_eq!(poll(&backend.open().await, 4).await[0].offset, 5);
}

async fn a_commit_past_the_end_does_not_pass_over_what_comes_later(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(vec![record("a", "1")]).await.unwrap();
    let partition = poll(&log, 1).await[0].partition;
    log.commit(Offsets::from([(partition, 100)])).await.unwrap();
    drop(log);
    let log = backend.open().await;
    log.append(vec![record("a", "2")]).await.unwrap();
    // A log may ignore such an offset. Then the first record comes again.
    let mut polled = Vec::new();
    while !polled.contains(&(1, Some(Bytes::from_static(b"2")))) {
        let records = poll(&log, 1).await;
        polled.extend(records.into_iter().map(|record| (record.offset, record.value)));
    }
}

async fn a_partition_that_does_not_exist_is_not_committed(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(vec![record("a", "1")]).await.unwrap();
    let before = log.positions();
    log.commit(Offsets::from([(-1, 1), (1_000, 1)])).await.unwrap();
    assert_eq!(log.positions(), before);
}

async fn commits_at_once_leave_the_greatest_of_each_partition(backend: &impl Backend) {
    let log = backend.open().await;
    log.append((0..100).map(|n| record("a", n.to_string())).collect()).await.unwrap();
    let partition = poll(&log, 100).await[0].partition;
    let commits: Vec<_> = (1..=99)
        .map(|offset| {
            let log = log.clone();
            tokio::spawn(async move { log.commit(Offsets::from([(partition, offset)])).await })
        })
        .collect();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    drop(log);
    assert_eq!(poll(&backend.open().await, 1).await[0].offset, 99);
}

async fn positions_tell_the_end_and_what_is_committed(backend: &impl Backend) {
    let log = backend.open().await;
    let partitions = i32::try_from(backend.partitions()).unwrap();
    let none = Position { committed: 0, end: 0 };
    assert_eq!(log.positions(), (0..partitions).map(|p| (p, none)).collect::<BTreeMap<_, _>>());
    log.append((0..9).map(|n| record("a", n.to_string())).collect()).await.unwrap();
    let partition = poll(&log, 9).await[0].partition;
    log.commit(Offsets::from([(partition, 4)])).await.unwrap();
    let expected = Position { committed: 4, end: 9 };
    assert_eq!(log.positions()[&partition], expected);
    drop(log);
    let log = backend.open().await;
    assert_eq!(log.positions()[&partition], expected);
    assert_eq!(log.positions().values().map(|position| position.end).sum::<i64>(), 9);
}

async fn an_append_is_not_queued_once_it_is_durable(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(records("r", 3, 10)).await.unwrap();
    assert_eq!(log.queued(), 0);
    log.ready().unwrap();
}
