//! A sync that fails and a disk that is full, under a log that is open.

use super::*;

/// Seen to fail when the next append is tried after a failed sync.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    let room = Room::new();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    room.fail(Some(Fault::Sync));
    assert!(matches!(append(&log, &["two"]).await, Err(LogError::Poisoned(_))));
    room.fail(None);
    assert!(matches!(log.ready(), Err(LogError::Poisoned(_))));
    for _ in 0..3 {
        assert!(matches!(append(&log, &["three"]).await, Err(LogError::Poisoned(_))));
    }
    drop(log);
    let log = room.open();
    log.ready().unwrap();
    append(&log, &["four"]).await.unwrap();
    // What failed may be there: its bytes were written, and who sent it was told that it may be.
    assert_eq!(values(&log).await, ["one", "two", "four"]);
}

#[tokio::test]
async fn what_failed_to_sync_is_not_polled() {
    let room = Room::new();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    room.fail(Some(Fault::Sync));
    append(&log, &["two"]).await.unwrap_err();
    assert_eq!(log.poll(1 << 20).await.unwrap().len(), 1);
    assert_eq!(values(&log).await, ["one"]);
}

#[tokio::test]
async fn everyone_who_waits_for_a_failed_sync_is_told() {
    let room = Room::new();
    let log = room.open();
    room.fail(Some(Fault::Sync));
    let appends: Vec<_> = (0..50)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { append(&log, &["one"]).await })
        })
        .collect();
    for append in appends {
        assert!(matches!(append.await.unwrap(), Err(LogError::Poisoned(_))));
    }
}

/// Seen to fail when the half that was written is not taken back: the next block is then shorter
/// than it.
#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_write_leaves_no_half() {
    let room = Room::new();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    let before = room.bytes(0);
    room.fail(Some(Fault::Full));
    let long = "two".repeat(1_000);
    assert!(matches!(append(&log, &[&long]).await, Err(LogError::Busy(_))));
    assert_eq!(room.bytes(0), before);
    room.fail(None);
    log.ready().unwrap();
    append(&log, &["three"]).await.unwrap();
    assert_eq!(values(&log).await, ["one", "three"]);
    drop(log);
    assert_eq!(values(&room.open()).await, ["one", "three"]);
}

#[tokio::test]
async fn a_crash_on_a_full_disk_leaves_no_half() {
    let room = Room::of_short_segments();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    room.fail(Some(Fault::Full));
    for _ in 0..3 {
        append(&log, &["two"]).await.unwrap_err();
    }
    assert_eq!(values(&room.copy().open()).await, ["one"]);
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_makes_it_busy_and_no_more() {
    let room = Room::of_short_segments();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    // In the way of the next segment.
    fs::create_dir(room.segment(1)).unwrap();
    assert!(matches!(append(&log, &["two"]).await, Err(LogError::Busy(_))));
    fs::remove_dir(room.segment(1)).unwrap();
    append(&log, &["three"]).await.unwrap();
    assert_eq!(values(&log).await, ["one", "three"]);
}

#[tokio::test]
async fn a_record_that_no_block_holds_is_refused_and_spoils_nothing() {
    let room = Room::new();
    let log = room.open();
    let huge = NewRecord { value: vec![0; block::MAX_ENTRY].into(), ..record("a", "") };
    assert!(matches!(log.append(vec![huge]).await, Err(LogError::Busy(_))));
    append(&log, &["one"]).await.unwrap();
    assert_eq!(values(&log).await, ["one"]);
}

#[tokio::test]
async fn a_full_queue_answers_busy_at_once() {
    let room = Room::new();
    let log = room.open();
    room.fail(Some(Fault::Stuck { waits: false }));
    let later = |log: &EmbeddedLog| {
        let log = log.clone();
        tokio::spawn(async move { append(&log, &["one"]).await })
    };
    let mut waiting = vec![later(&log)];
    while *room.disk.fault.lock() != Some(Fault::Stuck { waits: true }) {
        tokio::task::yield_now().await;
    }
    // The writer has taken the first; as many as the queue holds wait behind it.
    waiting.extend((0..journal::QUEUE).map(|_| later(&log)));
    while log.records().queued() < waiting.len() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(append(&log, &["one too many"]).await, Err(LogError::Busy(_))));
    room.fail(None);
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    assert_eq!(log.records().queued(), 0);
    assert_eq!(values(&log).await.len(), journal::QUEUE + 1);
}
