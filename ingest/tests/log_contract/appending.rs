//! Appending, polling and reading.

use std::collections::BTreeSet;

use bytes::Bytes;
use ingest::log::{NewRecord, Offsets};
use shared::timestamp::{MINUTE, Timestamp};

use crate::{
    Backend, by_partition, contract, partition_of, poll, poll_exactly, read_all, record, records,
    sorted, texts, texts_of_new,
};

contract!(
    what_is_appended_is_polled_byte_for_byte_in_the_partition_of_its_key,
    the_offsets_of_a_partition_are_contiguous_from_zero,
    a_poll_waits_for_the_next_append,
    a_poll_of_a_new_log_waits,
    a_poll_of_no_bytes_gives_a_record_all_the_same,
    a_poll_that_was_given_up_loses_nothing,
    the_order_within_a_key_is_kept,
    many_appends_at_once_are_all_durable,
    appending_nothing_succeeds_and_gives_nothing,
    a_record_keeps_the_append_time_it_came_with,
    the_append_time_of_a_record_is_now,
    an_append_of_many_mebibytes_is_read_back_after_a_restart,
    a_cursor_reads_everything_from_the_beginning_whatever_was_committed,
    a_cursor_goes_on_where_it_stood_when_there_is_more,
    reading_does_not_disturb_polling,
);

async fn what_is_appended_is_polled_byte_for_byte_in_the_partition_of_its_key(
    backend: &impl Backend,
) {
    let log = backend.open().await;
    let odd = [
        record("", ""),
        record("a", Bytes::from_static(b"\xff\xfe\x00\n")),
        record("\u{1F600}", "\u{0}"),
        record("a", vec![7; 100_000]),
        record("blk1", "blk1blk1"),
    ];
    log.append(odd.to_vec()).await.unwrap();
    let mut polled = poll(&log, odd.len()).await;
    for new in &odd {
        let at = polled.iter().position(|record| {
            (&record.key, record.value.as_ref()) == (&new.key, Some(&new.value))
        });
        let record = polled.remove(at.unwrap());
        assert_eq!(record.partition, partition_of(new.key.as_ref().unwrap(), backend.partitions()));
    }
}

async fn the_offsets_of_a_partition_are_contiguous_from_zero(backend: &impl Backend) {
    let log = backend.open().await;
    for round in 0..5 {
        log.append(records(&format!("r{round}"), 20, 40)).await.unwrap();
    }
    let polled = poll(&log, 200).await;
    let partitions = by_partition(&polled);
    assert!(partitions.len() > 1);
    for records in partitions.values() {
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..).take(records.len()).collect::<Vec<i64>>());
    }
}

async fn a_poll_waits_for_the_next_append(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(vec![record("a", "1")]).await.unwrap();
    poll(&log, 1).await;
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.poll(100).await }
    });
    tokio::task::yield_now().await;
    log.append(vec![record("a", "2")]).await.unwrap();
    assert_eq!(texts(&waiting.await.unwrap().unwrap()), texts_of_new(&[record("a", "2")]));
}

async fn a_poll_of_a_new_log_waits(backend: &impl Backend) {
    let log = backend.open().await;
    let (polled, appended) = tokio::join!(log.poll(100), log.append(vec![record("a", "1")]));
    appended.unwrap();
    assert_eq!(texts(&polled.unwrap()), texts_of_new(&[record("a", "1")]));
}

async fn a_poll_of_no_bytes_gives_a_record_all_the_same(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(vec![record("a", "1")]).await.unwrap();
    assert_eq!(log.poll(0).await.unwrap().len(), 1);
}

async fn a_poll_that_was_given_up_loses_nothing(backend: &impl Backend) {
    let log = backend.open().await;
    let all = records("r", 5, 50);
    // Not always the first of all: a log has no order across partitions.
    let mut answered = BTreeSet::new();
    for record in &all {
        log.append(vec![record.clone()]).await.unwrap();
        // Polled once and dropped, which may leave it at any step. Sometimes it completes at once.
        let polled = futures_util::FutureExt::now_or_never(log.poll(100));
        let polled = polled.map_or(Vec::new(), |polled| polled.unwrap());
        answered.extend(polled.into_iter().filter_map(|record| record.value));
    }
    let is_left = |record: &&NewRecord| !answered.contains(&record.value);
    let left: Vec<_> = all.iter().filter(is_left).cloned().collect();
    poll_exactly(&log, &left).await;
}

async fn the_order_within_a_key_is_kept(backend: &impl Backend) {
    let log = backend.open().await;
    for n in 0..100 {
        log.append(vec![record("a", format!("{n}")), record("b", format!("{n}"))]).await.unwrap();
    }
    drop(log);
    let log = backend.open().await;
    let polled = poll(&log, 200).await;
    for key in ["a", "b"] {
        let of_key = polled.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
        let values: Vec<_> = of_key.map(|record| record.value.clone().unwrap()).collect();
        assert_eq!(values, (0..100).map(|n| Bytes::from(n.to_string())).collect::<Vec<_>>());
    }
}

async fn many_appends_at_once_are_all_durable(backend: &impl Backend) {
    let log = backend.open().await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move { log.append(records(&format!("task{n}"), 7, 5)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(log);
    let expected: Vec<_> = (0..200).flat_map(|n| records(&format!("task{n}"), 7, 5)).collect();
    poll_exactly(&backend.open().await, &expected).await;
}

async fn appending_nothing_succeeds_and_gives_nothing(backend: &impl Backend) {
    let log = backend.open().await;
    log.append(Vec::new()).await.unwrap();
    poll_exactly(&log, &[]).await;
}

async fn a_record_keeps_the_append_time_it_came_with(backend: &impl Backend) {
    let log = backend.open().await;
    let time = Timestamp::from_millis(1_234_567_890_123);
    log.append(vec![NewRecord { append_time: time, ..record("a", "1") }]).await.unwrap();
    drop(log);
    assert_eq!(Some(poll(&backend.open().await, 1).await[0].append_time), time);
}

async fn the_append_time_of_a_record_is_now(backend: &impl Backend) {
    let (log, clock) = (backend.open().await, backend.clock());
    let before = clock.now();
    log.append(records("r", 9, 20)).await.unwrap();
    // A log opened earlier may have a clock that was started slightly later.
    let now = before - MINUTE..=clock.now() + MINUTE;
    assert!(poll(&log, 20).await.iter().all(|record| now.contains(&record.append_time)));
}

async fn an_append_of_many_mebibytes_is_read_back_after_a_restart(backend: &impl Backend) {
    let log = backend.open().await;
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    let all: Vec<_> = (0..70).map(|n| record(&format!("user-{n}"), value.clone())).collect();
    log.append(all.clone()).await.unwrap();
    drop(log);
    let log = backend.open().await;
    assert_eq!(poll(&log, 70).await.len(), 70);
    poll_exactly(&log, &[]).await;
}

async fn a_cursor_reads_everything_from_the_beginning_whatever_was_committed(
    backend: &impl Backend,
) {
    let log = backend.open().await;
    let all = records("r", 9, 60);
    for part in all.chunks(7) {
        log.append(part.to_vec()).await.unwrap();
    }
    let polled = poll(&log, 60).await;
    let ends: Offsets =
        log.positions().iter().map(|(partition, position)| (*partition, position.end)).collect();
    log.commit(ends).await.unwrap();
    let polled = sorted(polled);
    assert_eq!(sorted(read_all(&log).await), polled);
    drop(log);
    assert_eq!(sorted(read_all(&backend.open().await).await), polled);
}

async fn a_cursor_goes_on_where_it_stood_when_there_is_more(backend: &impl Backend) {
    let log = backend.open().await;
    let mut cursor = log.cursor();
    assert_eq!(log.read(&mut cursor, 100).await.unwrap(), []);
    log.append(vec![record("a", "1")]).await.unwrap();
    assert_eq!(log.read(&mut cursor, 100).await.unwrap().len(), 1);
    assert_eq!(log.read(&mut cursor, 100).await.unwrap(), []);
    log.append(vec![record("a", "2")]).await.unwrap();
    assert_eq!(
        texts(&log.read(&mut cursor, 100).await.unwrap()),
        texts_of_new(&[record("a", "2")])
    );
}

async fn reading_does_not_disturb_polling(backend: &impl Backend) {
    let log = backend.open().await;
    let all = records("r", 3, 10);
    log.append(all.clone()).await.unwrap();
    assert_eq!(read_all(&log).await.len(), 10);
    poll_exactly(&log, &all).await;
}
