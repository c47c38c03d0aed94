//! The promises of the embedded log about its directory: one owner, removal of consumed segments,
//! limits.

use std::{fs, path::Path};

use ingest::log::{
    EmbeddedLog, Log, LogError, LogOpenError, Offsets, embedded::EmbeddedLogOptions,
};
use shared::{
    clock::Clock,
    timestamp::{DAY, Timestamp},
};
use tempfile::TempDir;

use crate::{Backend, poll, poll_exactly, read_all, record, records};

/// A directory for a log.
pub(crate) struct LogDir(TempDir);

fn noon() -> Timestamp {
    Timestamp::parse("2024-05-13T12:00:00Z").unwrap()
}

fn options() -> EmbeddedLogOptions {
    EmbeddedLogOptions { reserve_bytes: 0, ..EmbeddedLogOptions::default() }
}

/// Many segments, none of which is removed for its age or size.
fn small_segments() -> EmbeddedLogOptions {
    EmbeddedLogOptions { segment_bytes: 300, retention_ms: 400 * DAY, ..options() }
}

impl LogDir {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn try_open(&self, options: EmbeddedLogOptions, now: Timestamp) -> Result<Log, LogOpenError> {
        EmbeddedLog::open(self.0.path(), options, Clock::starting_at(now)).map(Log::Embedded)
    }

    fn open_with(&self, options: EmbeddedLogOptions, now: Timestamp) -> Log {
        self.try_open(options, now).unwrap()
    }

    fn segments(&self) -> usize {
        count(&self.0.path().join("records"))
    }
}

fn count(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".log")).count()
}

impl Backend for LogDir {
    async fn fresh() -> Self {
        Self::new()
    }

    async fn open(&self) -> Log {
        self.open_with(options(), noon())
    }

    fn partitions(&self) -> u32 {
        options().partitions
    }

    fn clock(&self) -> Clock {
        Clock::starting_at(noon())
    }
}

async fn append_singly(log: &Log, prefix: &str, count: usize) {
    for record in records(prefix, 5, count) {
        log.append(vec![record]).await.unwrap();
    }
}

async fn consume(log: &Log, count: usize) {
    poll(log, count).await;
    let ends: Offsets =
        log.positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    log.commit(ends).await.unwrap();
}

#[tokio::test]
async fn a_second_owner_is_told_that_it_is_locked() {
    let dir = LogDir::new();
    let log = dir.open_with(options(), noon());
    assert!(matches!(dir.try_open(options(), noon()), Err(LogOpenError::Locked)));
    drop(log);
    dir.open_with(options(), noon());
}

/// An operator deletes them after restoring a store on Cassandra.
#[tokio::test]
async fn without_committed_offsets_every_record_that_is_left_is_polled_again() {
    let dir = LogDir::new();
    let log = dir.open_with(small_segments(), noon());
    append_singly(&log, "r", 30).await;
    consume(&log, 30).await;
    drop(log);
    let journal = dir.0.path().join("records");
    fs::remove_file(journal.join("committed.json")).unwrap();
    let log = dir.open_with(small_segments(), noon());
    assert_eq!(poll(&log, 30).await.len(), 30);
    drop(log);
    // Retention has removed the oldest records.
    fs::remove_file(journal.join("0000000000000000.log")).unwrap();
    let log = dir.open_with(small_segments(), noon());
    let left = read_all(&log).await.len();
    assert!((1..30).contains(&left), "{left}");
    consume(&log, left).await;
    assert!(log.positions().values().all(|at| at.committed == at.end));
    drop(log);
    poll_exactly(&dir.open_with(small_segments(), noon()), &[]).await;
}

/// A dropped append leaves its work to the writer: the directory is free only when the writer has
/// finished.
#[tokio::test]
async fn an_append_that_nobody_waits_for_is_finished_before_the_next_owner_comes() {
    let dir = LogDir::new();
    for round in 0..20_usize {
        let log = dir.open_with(options(), noon());
        assert_eq!(read_all(&log).await.len(), round * 1_000);
        // Nearly always it is dropped before the writer is done. If not, the test passes as well.
        if let Some(answer) =
            futures_util::FutureExt::now_or_never(log.append(records("r", 5, 1_000)))
        {
            answer.unwrap();
        }
    }
}

#[tokio::test]
async fn records_of_one_append_have_one_append_time() {
    let dir = LogDir::new();
    let log = dir.open_with(options(), noon());
    log.append(records("r", 9, 20)).await.unwrap();
    let polled = poll(&log, 20).await;
    assert!(polled.iter().all(|record| record.append_time == polled[0].append_time));
}

#[tokio::test]
async fn a_log_goes_over_many_segments_and_restarts() {
    let dir = LogDir::new();
    for round in 0..4 {
        let log = dir.open_with(small_segments(), noon());
        append_singly(&log, &format!("r{round}"), 25).await;
    }
    assert!(dir.segments() > 20, "{}", dir.segments());
    let all: Vec<_> = (0..4).flat_map(|round| records(&format!("r{round}"), 5, 25)).collect();
    poll_exactly(&dir.open_with(small_segments(), noon()), &all).await;
}

#[tokio::test]
async fn a_poll_waits_at_the_beginning_of_a_segment() {
    let dir = LogDir::new();
    let log = dir.open_with(EmbeddedLogOptions { segment_bytes: 1, ..options() }, noon());
    for n in 0..5 {
        let (polled, appended) =
            tokio::join!(log.poll(100), log.append(vec![record("a", format!("{n}"))]));
        appended.unwrap();
        assert_eq!(polled.unwrap()[0].value, Some(n.to_string().into()));
    }
}

#[tokio::test]
async fn retention_never_removes_what_is_not_committed() {
    let dir = LogDir::new();
    let greedy =
        EmbeddedLogOptions { segment_bytes: 200, retention_bytes: 0, retention_ms: 0, ..options() };
    let log = dir.open_with(greedy, noon());
    append_singly(&log, "polled", 30).await;
    poll(&log, 30).await;
    append_singly(&log, "new", 30).await;
    drop(log);
    let log = dir.open_with(greedy, noon() + 400 * DAY);
    append_singly(&log, "later", 30).await;
    drop(log);
    let mut all = records("polled", 5, 30);
    all.extend(records("new", 5, 30));
    all.extend(records("later", 5, 30));
    poll_exactly(&dir.open_with(greedy, noon() + 800 * DAY), &all).await;
}

#[tokio::test]
async fn what_is_consumed_and_too_old_is_removed() {
    let dir = LogDir::new();
    let options = EmbeddedLogOptions { segment_bytes: 200, retention_ms: DAY, ..options() };
    let log = dir.open_with(options, noon());
    append_singly(&log, "r", 50).await;
    consume(&log, 50).await;
    append_singly(&log, "young", 10).await;
    let before = dir.segments();
    assert!(before > 20);
    drop(log);
    let log = dir.open_with(options, noon() + 2 * DAY);
    append_singly(&log, "later", 10).await;
    assert!(dir.segments() < before / 2, "{} of {before}", dir.segments());
    poll_exactly(&log, &[records("young", 5, 10), records("later", 5, 10)].concat()).await;
}

#[tokio::test]
async fn what_is_consumed_and_too_much_is_removed() {
    let dir = LogDir::new();
    let options = EmbeddedLogOptions {
        segment_bytes: 200,
        retention_bytes: 2_000,
        retention_ms: 400 * DAY,
        ..options()
    };
    let log = dir.open_with(options, noon());
    for round in 0..20 {
        append_singly(&log, &format!("r{round}"), 10).await;
        consume(&log, 10).await;
    }
    assert!(dir.segments() < 20, "{}", dir.segments());
    drop(log);
    poll_exactly(&dir.open_with(options, noon()), &[]).await;
}

#[tokio::test]
async fn a_commit_that_was_not_saved_lets_nothing_be_removed() {
    let dir = LogDir::new();
    let greedy =
        EmbeddedLogOptions { segment_bytes: 200, retention_bytes: 0, retention_ms: 0, ..options() };
    let log = dir.open_with(greedy, noon());
    append_singly(&log, "r", 20).await;
    poll(&log, 20).await;
    // Blocks the file that is written first.
    let obstacle = dir.0.path().join("records").join("committed.new");
    fs::create_dir(&obstacle).unwrap();
    let ends: Offsets =
        log.positions().iter().map(|(partition, at)| (*partition, at.end)).collect();
    assert!(matches!(log.commit(ends).await, Err(LogError::Busy(_))));
    append_singly(&log, "more", 20).await;
    drop(log);
    fs::remove_dir(obstacle).unwrap();
    let all = [records("r", 5, 20), records("more", 5, 20)].concat();
    poll_exactly(&dir.open_with(greedy, noon()), &all).await;
}

#[tokio::test]
async fn a_cursor_goes_on_behind_what_retention_removed() {
    let dir = LogDir::new();
    let greedy = EmbeddedLogOptions { segment_bytes: 200, retention_bytes: 0, ..options() };
    let log = dir.open_with(greedy, noon());
    append_singly(&log, "r", 20).await;
    let mut cursor = log.cursor();
    assert!(!log.read(&mut cursor, 1).await.unwrap().is_empty());
    consume(&log, 20).await;
    append_singly(&log, "more", 20).await;
    let mut last = Vec::new();
    loop {
        let more = log.read(&mut cursor, 1).await.unwrap();
        if more.is_empty() {
            break;
        }
        last = more;
    }
    assert_eq!(last[0].value.as_deref(), Some(&b"more-19"[..]));
    poll_exactly(&log, &records("more", 5, 20)).await;
}

#[tokio::test]
async fn a_log_keeps_the_partitions_it_was_made_with() {
    let dir = LogDir::new();
    let log = dir.open_with(EmbeddedLogOptions { partitions: 3, ..options() }, noon());
    assert_eq!(log.positions().len(), 3);
    log.append(records("r", 20, 40)).await.unwrap();
    drop(log);
    let log = dir.open_with(options(), noon());
    assert_eq!(log.positions().len(), 3);
    log.append(records("s", 20, 40)).await.unwrap();
    assert_eq!(poll(&log, 80).await.iter().map(|record| record.partition).max(), Some(2));
}

#[tokio::test]
async fn without_room_on_the_disk_it_is_busy_and_keeps_what_it_has() {
    let dir = LogDir::new();
    let log = dir.open_with(options(), noon());
    append_singly(&log, "r", 3).await;
    drop(log);
    let log = dir.open_with(EmbeddedLogOptions { reserve_bytes: u64::MAX, ..options() }, noon());
    assert!(matches!(log.ready(), Err(LogError::Busy(_))));
    assert!(matches!(log.append(vec![record("a", "1")]).await, Err(LogError::Busy(_))));
    assert_eq!(poll(&log, 3).await.len(), 3);
    drop(log);
    poll_exactly(&dir.open_with(options(), noon()), &records("r", 5, 3)).await;
}
