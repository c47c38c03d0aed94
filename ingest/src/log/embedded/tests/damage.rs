//! A torn tail is cut off and nothing else is; damage before it is refused.

use super::*;

/// A log of three appends, the length of its segment before the last of them, and its bytes.
async fn three_appends() -> (Room, usize, Vec<u8>) {
    let room = Room::new();
    let log = room.open();
    append(&log, &["one", "uno"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    let before = room.bytes(0).len();
    append(&log, &["three", "tre"]).await.unwrap();
    drop(log);
    let bytes = room.bytes(0);
    (room, before, bytes)
}

/// Opens a log of which `bytes` are left, and asserts that the first two appends are there and that
/// it goes on.
async fn opens_without_the_last(room: &Room, bytes: &[u8], what: &str) {
    fs::write(room.segment(0), bytes).unwrap();
    let log = room.open();
    assert_eq!(values(&log).await, ["one", "uno", "two"], "{what}");
    append(&log, &["four"]).await.unwrap();
    drop(log);
    assert_eq!(values(&room.open()).await, ["one", "uno", "two", "four"], "{what}");
}

/// Seen to fail when the length that a frame claims is believed without a look at the file.
#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off() {
    let (room, before, bytes) = three_appends().await;
    for cut in before..bytes.len() {
        opens_without_the_last(&room, &bytes[..cut], &format!("cut at {cut}")).await;
    }
}

/// Pages may reach the disk in any order: the length is there, the bytes are not.
#[tokio::test]
async fn a_tail_of_zeros_behind_any_byte_is_cut_off() {
    let (room, before, bytes) = three_appends().await;
    for cut in before..bytes.len() - 1 {
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        opens_without_the_last(&room, &torn, &format!("zeros from {cut}")).await;
    }
}

#[tokio::test]
async fn garbage_behind_the_end_is_cut_off() {
    let (room, before, bytes) = three_appends().await;
    for garbage in [
        b"x".to_vec(),
        vec![0; 5_000],
        vec![0xff; 5_000],
        b"blk1".repeat(50),
        b"blk1\x00\x00\x00\x08????payloads".to_vec(),
        // It claims to be longer than anything that is written.
        b"blk1\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        // The beginning of a block that stands before it.
        bytes[before..bytes.len() - 1].to_vec(),
    ] {
        let torn = [&bytes[..before], &garbage].concat();
        opens_without_the_last(&room, &torn, &format!("{garbage:?}")).await;
    }
}

#[tokio::test]
async fn a_log_that_ends_at_a_whole_block_keeps_it() {
    let (room, _, bytes) = three_appends().await;
    assert_eq!(values(&room.open()).await, ["one", "uno", "two", "three", "tre"]);
    assert_eq!(room.bytes(0), bytes);
}

/// Seen to fail when what stands behind the damage is not looked at.
#[tokio::test]
async fn damage_before_the_last_block_is_refused_and_left_as_it_is() {
    let (room, before, bytes) = three_appends().await;
    let header = block::header_len(3);
    for place in header..before {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        fs::write(room.segment(0), &damaged).unwrap();
        assert!(room.refusal().contains("damaged at byte"), "byte {place}");
        assert_eq!(room.bytes(0), damaged, "byte {place}");
    }
}

#[tokio::test]
async fn a_damaged_header_before_a_block_is_refused() {
    let (room, _, bytes) = three_appends().await;
    for place in 0..block::header_len(3) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        fs::write(room.segment(0), &damaged).unwrap();
        assert!(room.refusal().contains("has no header"), "byte {place}");
    }
}

#[tokio::test]
async fn a_new_log_whose_header_is_torn_begins_anew() {
    for cut in 0..block::header_len(3) {
        let room = Room::new();
        drop(room.open());
        fs::write(room.segment(0), &room.bytes(0)[..cut]).unwrap();
        let log = room.open();
        append(&log, &["one"]).await.unwrap();
        assert_eq!(values(&log).await, ["one"]);
    }
}

/// The process ends while it makes a segment: at any byte of its header, or before its first block.
#[tokio::test]
async fn a_crash_at_any_place_of_a_rotation_loses_nothing() {
    let room = Room::of_short_segments();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    append(&log, &["three"]).await.unwrap();
    drop(log);
    let begun = room.bytes(2);
    for cut in 0..=block::header_len(3) {
        fs::write(room.segment(2), &begun[..cut]).unwrap();
        let log = room.open();
        assert_eq!(values(&log).await, ["one", "two"], "cut at {cut}");
        append(&log, &["four"]).await.unwrap();
        drop(log);
        assert_eq!(values(&room.open()).await, ["one", "two", "four"], "cut at {cut}");
    }
}

/// A segment is begun when all of the one before it was acknowledged: that one has no torn tail.
#[tokio::test]
async fn damage_at_the_end_of_a_segment_that_has_a_follower_is_refused() {
    let room = Room::of_short_segments();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    append(&log, &["two"]).await.unwrap();
    drop(log);
    let (first, second) = (room.bytes(0), room.bytes(1));
    fs::write(room.segment(1), &second[..5]).unwrap();
    fs::write(room.segment(0), &first[..first.len() - 1]).unwrap();
    assert!(room.refusal().contains("damaged at byte"));
    assert_eq!(room.bytes(0).len(), first.len() - 1);
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let room = Room::of_short_segments();
    let log = room.open();
    for value in ["one", "two", "three"] {
        append(&log, &[value]).await.unwrap();
    }
    drop(log);
    fs::remove_file(room.segment(1)).unwrap();
    assert!(room.refusal().contains("is missing"));
}

#[tokio::test]
async fn damage_in_an_earlier_segment_is_told_by_the_poll_that_meets_it() {
    let room = Room::of_short_segments();
    let log = room.open();
    for value in ["one", "two", "three"] {
        append(&log, &[value]).await.unwrap();
    }
    drop(log);
    let mut bytes = room.bytes(1);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(room.segment(1), bytes).unwrap();
    let log = room.open();
    assert_eq!(log.poll(1).await.unwrap()[0].value.as_deref(), Some(&b"one"[..]));
    assert!(matches!(log.poll(1).await, Err(LogError::Corrupt(_))));
    assert!(matches!(log.poll(1).await, Err(LogError::Corrupt(_))));
}

#[tokio::test]
async fn positions_half_written_are_passed_over() {
    let room = Room::new();
    let log = room.open();
    append(&log, &["one"]).await.unwrap();
    log.poll(1).await.unwrap();
    let ends =
        log.records().positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    log.records().commit(ends).await.unwrap();
    let positions = log.records().positions();
    drop(log);
    fs::write(room.path("committed.new"), b"{\"offsets\":[").unwrap();
    let log = room.open();
    assert_eq!(log.records().positions(), positions);
    log.records().commit([(0, 0)].into()).await.unwrap();
}

#[tokio::test]
async fn positions_that_cannot_be_read_are_refused() {
    let room = Room::new();
    append(&room.open(), &["one"]).await.unwrap();
    fs::write(room.path("committed.json"), b"{\"offsets\":[").unwrap();
    assert!(room.refusal().contains("committed.json cannot be read"));
}

/// The last block was acknowledged, committed, and is gone: that is no torn tail.
#[tokio::test]
async fn a_log_that_ends_before_what_is_committed_is_refused() {
    let (room, before, bytes) = three_appends().await;
    let log = room.open();
    log.poll(1 << 20).await.unwrap();
    let ends =
        log.records().positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    log.records().commit(ends).await.unwrap();
    drop(log);
    fs::write(room.segment(0), &bytes[..before + 3]).unwrap();
    assert!(room.refusal().contains("are committed, but the log ends at"));
}
