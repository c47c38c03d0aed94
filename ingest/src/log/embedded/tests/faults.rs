//! A failed sync and a full disk, under an open log.

use super::*;

/// Seen to fail if an append is tried after a failed sync.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    let dir = LogDir::new();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    dir.fail(Some(Fault::Sync));
    assert!(matches!(append(&log, &["two"]).await, Err(LogError::Poisoned(_))));
    dir.fail(None);
    assert!(matches!(log.ready(), Err(LogError::Poisoned(_))));
    for _ in 0..3 {
        assert!(matches!(append(&log, &["three"]).await, Err(LogError::Poisoned(_))));
    }
    drop(log);
    let log = dir.open();
    log.ready().unwrap();
    append(&log, &["four"]).await.unwrap();
    // The failed append may be there: its bytes were written, and its caller knows that its outcome
    // is unknown.
    assert_eq!(values(&log).await, ["one", "two", "four"]);
}

#[tokio::test]
async fn what_failed_to_sync_is_not_polled() {
    let dir = LogDir::new();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    dir.fail(Some(Fault::Sync));
    append(&log, &["two"]).await.unwrap_err();
    assert_eq!(log.poll(1 << 20).await.unwrap().len(), 1);
    assert_eq!(values(&log).await, ["one"]);
}

#[tokio::test]
async fn everyone_who_waits_for_a_failed_sync_is_told() {
    let dir = LogDir::new();
    let log = dir.open();
    dir.fail(Some(Fault::Sync));
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

/// Seen to fail if the half that was written is not removed: the next block is shorter than it.
#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_write_leaves_no_half() {
    let dir = LogDir::new();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    let before = dir.bytes(0);
    dir.fail(Some(Fault::Full));
    let long = "two".repeat(1_000);
    assert!(matches!(append(&log, &[&long]).await, Err(LogError::Busy(_))));
    assert_eq!(dir.bytes(0), before);
    dir.fail(None);
    log.ready().unwrap();
    append(&log, &["three"]).await.unwrap();
    assert_eq!(values(&log).await, ["one", "three"]);
    drop(log);
    assert_eq!(values(&dir.open()).await, ["one", "three"]);
}

#[tokio::test]
async fn a_crash_on_a_full_disk_leaves_no_half() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    dir.fail(Some(Fault::Full));
    for _ in 0..3 {
        append(&log, &["two"]).await.unwrap_err();
    }
    assert_eq!(values(&dir.copy().open()).await, ["one"]);
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_makes_it_busy_and_no_more() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    // Blocks the creation of the next segment.
    fs::create_dir(dir.segment(1)).unwrap();
    assert!(matches!(append(&log, &["two"]).await, Err(LogError::Busy(_))));
    fs::remove_dir(dir.segment(1)).unwrap();
    append(&log, &["three"]).await.unwrap();
    assert_eq!(values(&log).await, ["one", "three"]);
}

#[tokio::test]
async fn a_record_that_no_block_holds_is_refused_and_spoils_nothing() {
    let dir = LogDir::new();
    let log = dir.open();
    let huge = NewRecord { value: vec![0; block::MAX_ENTRY].into(), ..record("a", "") };
    assert!(matches!(log.append(vec![huge]).await, Err(LogError::Busy(_))));
    append(&log, &["one"]).await.unwrap();
    assert_eq!(values(&log).await, ["one"]);
}

#[tokio::test]
async fn a_full_queue_answers_busy_at_once() {
    let dir = LogDir::new();
    let log = dir.open();
    dir.fail(Some(Fault::Stuck { waits: false }));
    let later = |log: &EmbeddedLog| {
        let log = log.clone();
        tokio::spawn(async move { append(&log, &["one"]).await })
    };
    let mut waiting = vec![later(&log)];
    while *dir.disk.fault.lock() != Some(Fault::Stuck { waits: true }) {
        tokio::task::yield_now().await;
    }
    // The writer has taken the first append; a full queue of others waits.
    waiting.extend((0..journal::QUEUE).map(|_| later(&log)));
    while log.records().queued() < waiting.len() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(append(&log, &["one too many"]).await, Err(LogError::Busy(_))));
    dir.fail(None);
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    assert_eq!(log.records().queued(), 0);
    assert_eq!(values(&log).await.len(), journal::QUEUE + 1);
}
