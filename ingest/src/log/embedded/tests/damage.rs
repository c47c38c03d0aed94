//! A torn tail is cut off, and nothing else is; damage before it is refused.

use super::*;

/// A log of three appends, the length of its segment before the last of them, and its bytes.
async fn three_appends() -> (LogDir, usize, Vec<u8>) {
    let dir = LogDir::new();
    let log = dir.open();
    append(&log, &["one", "uno"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    let before = dir.bytes(0).len();
    append(&log, &["three", "tre"]).await.unwrap();
    drop(log);
    let bytes = dir.bytes(0);
    (dir, before, bytes)
}

/// Opens a log with only `bytes` left. Asserts that it holds the first two appends and accepts
/// more.
async fn opens_without_the_last(dir: &LogDir, bytes: &[u8], what: &str) {
    fs::write(dir.segment(0), bytes).unwrap();
    let log = dir.open();
    assert_eq!(values(&log).await, ["one", "uno", "two"], "{what}");
    append(&log, &["four"]).await.unwrap();
    drop(log);
    assert_eq!(values(&dir.open()).await, ["one", "uno", "two", "four"], "{what}");
}

/// Seen to fail if the length in a frame is trusted without a check of the file's length.
#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off() {
    let (dir, before, bytes) = three_appends().await;
    for cut in before..bytes.len() {
        opens_without_the_last(&dir, &bytes[..cut], &format!("cut at {cut}")).await;
    }
}

/// Pages may reach the disk in any order: the file has its length, but not its bytes.
#[tokio::test]
async fn a_tail_of_zeros_behind_any_byte_is_cut_off() {
    let (dir, before, bytes) = three_appends().await;
    for cut in before..bytes.len() - 1 {
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        opens_without_the_last(&dir, &torn, &format!("zeros from {cut}")).await;
    }
}

#[tokio::test]
async fn garbage_behind_the_end_is_cut_off() {
    let (dir, before, bytes) = three_appends().await;
    for garbage in [
        b"x".to_vec(),
        vec![0; 5_000],
        vec![0xff; 5_000],
        b"blk1".repeat(50),
        b"blk1\x00\x00\x00\x08????payloads".to_vec(),
        // Claims to be longer than anything that is written.
        b"blk1\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        // The beginning of the block before it.
        bytes[before..bytes.len() - 1].to_vec(),
    ] {
        let torn = [&bytes[..before], &garbage].concat();
        opens_without_the_last(&dir, &torn, &format!("{garbage:?}")).await;
    }
}

#[tokio::test]
async fn a_log_that_ends_at_a_whole_block_keeps_it() {
    let (dir, _, bytes) = three_appends().await;
    assert_eq!(values(&dir.open()).await, ["one", "uno", "two", "three", "tre"]);
    assert_eq!(dir.bytes(0), bytes);
}

/// Seen to fail if the bytes after the damage are not searched for a block.
#[tokio::test]
async fn damage_before_the_last_block_is_refused_and_left_as_it_is() {
    let (dir, before, bytes) = three_appends().await;
    let header = block::header_len(3);
    for place in header..before {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        fs::write(dir.segment(0), &damaged).unwrap();
        assert!(dir.refusal().contains("damaged at byte"), "byte {place}");
        assert_eq!(dir.bytes(0), damaged, "byte {place}");
    }
}

#[tokio::test]
async fn a_damaged_header_before_a_block_is_refused() {
    let (dir, _, bytes) = three_appends().await;
    for place in 0..block::header_len(3) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        fs::write(dir.segment(0), &damaged).unwrap();
        assert!(dir.refusal().contains("has no header"), "byte {place}");
    }
}

#[tokio::test]
async fn a_new_log_whose_header_is_torn_begins_anew() {
    for cut in 0..block::header_len(3) {
        let dir = LogDir::new();
        drop(dir.open());
        fs::write(dir.segment(0), &dir.bytes(0)[..cut]).unwrap();
        let log = dir.open();
        append(&log, &["one"]).await.unwrap();
        assert_eq!(values(&log).await, ["one"]);
    }
}

/// The process stops while it creates a segment: at any byte of its header, or before its first
/// block.
#[tokio::test]
async fn a_crash_at_any_place_of_a_rotation_loses_nothing() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    append(&log, &["three"]).await.unwrap();
    drop(log);
    let begun = dir.bytes(2);
    for cut in 0..=block::header_len(3) {
        fs::write(dir.segment(2), &begun[..cut]).unwrap();
        let log = dir.open();
        assert_eq!(values(&log).await, ["one", "two"], "cut at {cut}");
        append(&log, &["four"]).await.unwrap();
        drop(log);
        assert_eq!(values(&dir.open()).await, ["one", "two", "four"], "cut at {cut}");
    }
}

/// A segment is created after all of the previous one was acknowledged, which has no torn tail
/// therefore.
#[tokio::test]
async fn damage_at_the_end_of_a_segment_that_has_a_follower_is_refused() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    drop(log);
    let (first, second) = (dir.bytes(0), dir.bytes(1));
    fs::write(dir.segment(1), &second[..5]).unwrap();
    fs::write(dir.segment(0), &first[..first.len() - 1]).unwrap();
    assert!(dir.refusal().contains("damaged at byte"));
    assert_eq!(dir.bytes(0).len(), first.len() - 1);
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    for value in ["one", "two", "three"] {
        append(&log, &[value]).await.unwrap();
    }
    drop(log);
    fs::remove_file(dir.segment(1)).unwrap();
    assert!(dir.refusal().contains("is missing"));
}

#[tokio::test]
async fn damage_in_an_earlier_segment_is_told_by_the_poll_that_meets_it() {
    let dir = LogDir::of_short_segments();
    let log = dir.open();
    for value in ["one", "two", "three"] {
        append(&log, &[value]).await.unwrap();
    }
    drop(log);
    let mut bytes = dir.bytes(1);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(dir.segment(1), bytes).unwrap();
    let log = dir.open();
    assert_eq!(log.poll(1).await.unwrap()[0].value.as_deref(), Some(&b"one"[..]));
    assert!(matches!(log.poll(1).await, Err(LogError::Corrupt(_))));
    assert!(matches!(log.poll(1).await, Err(LogError::Corrupt(_))));
}

#[tokio::test]
async fn positions_half_written_are_passed_over() {
    let dir = LogDir::new();
    let log = dir.open();
    append(&log, &["one"]).await.unwrap();
    log.poll(1).await.unwrap();
    let ends =
        log.records().positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    log.records().commit(ends).await.unwrap();
    let positions = log.records().positions();
    drop(log);
    fs::write(dir.path("committed.new"), b"{\"offsets\":[").unwrap();
    let log = dir.open();
    assert_eq!(log.records().positions(), positions);
    log.records().commit([(0, 0)].into()).await.unwrap();
}

#[tokio::test]
async fn positions_that_cannot_be_read_are_refused() {
    let dir = LogDir::new();
    append(&dir.open(), &["one"]).await.unwrap();
    fs::write(dir.path("committed.json"), b"{\"offsets\":[").unwrap();
    assert!(dir.refusal().contains("committed.json cannot be read"));
}

/// The last block was acknowledged and committed, and is gone: that is not a torn tail.
#[tokio::test]
async fn a_log_that_ends_before_what_is_committed_is_refused() {
    let (dir, before, bytes) = three_appends().await;
    let log = dir.open();
    log.poll(1 << 20).await.unwrap();
    let ends =
        log.records().positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    log.records().commit(ends).await.unwrap();
    drop(log);
    fs::write(dir.segment(0), &bytes[..before + 3]).unwrap();
    assert!(dir.refusal().contains("are committed, but the log ends at"));
}
