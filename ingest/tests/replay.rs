//! An embedded store that does not hold its log: deleted, restored from an older copy, or written
//! from another log.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    fs, io,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use ingest::{
    consumer::{Consumer, ConsumerOptions},
    log::{EmbeddedLog, Log, NewRecord, Offsets, embedded::EmbeddedLogOptions},
    metrics::ConsumerMetrics,
    replay::{self, Comparison},
};
use shared::{
    clock::Clock,
    event::{SessionEvent, SessionId, UserId},
    session::SessionKey,
    store::{EmbeddedStore, Holds, Store, embedded::EmbeddedStoreOptions},
    timestamp::{DAY, MINUTE, Timestamp},
};
use tempfile::TempDir;

fn noon() -> Timestamp {
    Timestamp::parse("2026-06-01T12:00:00Z").unwrap()
}

/// A data directory, opened and closed for each step.
struct Data {
    dir: TempDir,
    options: EmbeddedLogOptions,
    now: Timestamp,
}

/// The result of one run of the service.
struct Ran {
    /// The difference that was found at the start.
    found: Comparison,
    /// Whether the process was not ready before it consumed, and ready afterwards.
    was_pending: bool,
    /// The number of records handled.
    handled: u64,
    lost: u64,
    /// The number of dead letters, and of those that were written again.
    letters: (u64, u64),
}

impl Data {
    fn new() -> Self {
        let options =
            EmbeddedLogOptions { partitions: 3, reserve_bytes: 0, ..EmbeddedLogOptions::default() };
        Self { dir: TempDir::new().unwrap(), options, now: noon() }
    }

    fn log(&self) -> Log {
        let (dir, clock) = (self.dir.path().join("log"), Clock::starting_at(self.now));
        Log::Embedded(EmbeddedLog::open(&dir, self.options, clock).unwrap())
    }

    fn embedded_store(&self) -> EmbeddedStore {
        let options = EmbeddedStoreOptions { reserve_bytes: 0, ..EmbeddedStoreOptions::default() };
        EmbeddedStore::open(&self.dir.path().join("store"), options).unwrap()
    }

    /// Starts the service, appends a start of each session, and stops it once all is consumed.
    async fn run(&self, sessions: impl IntoIterator<Item = usize>) -> Ran {
        let (log, store) = (self.log(), Store::Embedded(self.embedded_store()));
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(ConsumerMetrics::new(&registry).unwrap());
        let found = replay::compare(&log, &store).await.unwrap().unwrap();
        let replay = replay::align(&log, &store, &metrics).await.unwrap();
        let was_pending = replay.as_ref().is_some_and(|replay| replay.pending().is_some());
        for session in sessions {
            log.append(vec![start(session)]).await.unwrap();
        }
        consume(&log, &store, Arc::clone(&metrics)).await;
        assert_eq!(replay.and_then(|replay| replay.pending()), None);
        let count = |name: &str| {
            let families = registry.gather();
            let family = families.iter().find(|one| one.name() == name);
            let series = family.unwrap().get_metric().iter();
            series.map(|one| one.get_counter().get_value() as u64).sum()
        };
        let handled = count(ingest::metrics::RECORDS_HANDLED);
        let letters =
            (count("bookend_dead_letters_total"), count("bookend_repeated_dead_letters_total"));
        Ran { found, was_pending, handled, lost: metrics.lost.get(), letters }
    }

    /// Appends records that are not events.
    async fn append_garbage(&self, count: usize) {
        let log = self.log();
        let garbage = |number: usize| NewRecord::new(Bytes::new(), format!("{number}").into());
        log.append((0..count).map(garbage).collect()).await.unwrap();
    }

    /// The sessions that the store has, below `count`.
    async fn sessions(&self, count: usize) -> Vec<usize> {
        let store = Store::Embedded(self.embedded_store());
        let mut found = Vec::new();
        for session in 0..count {
            if !store.facts(&key(session)).await.unwrap().is_empty() {
                found.push(session);
            }
        }
        found
    }

    /// A copy of a part of the directory.
    fn copy(&self, part: &str) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_dir(&self.dir.path().join(part), &copy.path().join(part));
        copy
    }

    fn restore(&self, part: &str, copy: &TempDir) {
        fs::remove_dir_all(self.dir.path().join(part)).unwrap();
        copy_dir(&copy.path().join(part), &self.dir.path().join(part));
    }
}

fn copy_dir(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

fn key(session: usize) -> SessionKey {
    let user = UserId::new(&format!("u{}", session % 7)).unwrap();
    SessionKey { user, session: SessionId::new(&format!("s{session}")).unwrap() }
}

fn start(session: usize) -> NewRecord {
    let SessionKey { user, session } = key(session);
    let mut value = Vec::new();
    let country = shared::event::Country::normalise("SK");
    let record_key = Bytes::copy_from_slice(user.as_str().as_bytes());
    SessionEvent::Start { user, session, ts: noon() - DAY, country }.write_json(&mut value);
    NewRecord::new(record_key, value.into())
}

async fn consume(log: &Log, store: &Store, metrics: Arc<ConsumerMetrics>) {
    let options = ConsumerOptions {
        commit_interval: Duration::from_millis(1),
        future_tolerance_ms: 5 * MINUTE,
        ..ConsumerOptions::default()
    };
    let consumer =
        Consumer::new(log.clone(), store.clone(), Clock::starting_at(noon()), metrics, options);
    let log = log.clone();
    let done = async move {
        while log.positions().values().any(|position| position.committed < position.end) {
            tokio::task::yield_now().await;
        }
    };
    consumer.run(done).await.unwrap();
}

#[tokio::test]
async fn a_store_that_holds_its_log_is_not_replayed() {
    let data = Data::new();
    data.run(0..40).await;
    let ran = data.run(40..50).await;
    assert_eq!((ran.handled, ran.found.behind, ran.lost), (10, 0, 0));
    assert_eq!(data.sessions(60).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_deleted_store_gets_the_whole_log_again_and_the_process_is_not_ready_meanwhile() {
    let data = Data::new();
    data.run(0..40).await;
    fs::remove_dir_all(data.dir.path().join("store")).unwrap();
    let ran = data.run([]).await;
    assert!(ran.was_pending);
    assert_eq!((ran.handled, ran.found.behind, ran.lost), (40, 40, 0));
    assert_eq!(data.sessions(40).await, (0..40).collect::<Vec<_>>());
}

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_long_replay_says_every_ten_seconds_how_far_it_is() {
    let data = Data::new();
    data.run(0..40).await;
    fs::remove_dir_all(data.dir.path().join("store")).unwrap();
    let (log, store) = (data.log(), Store::Embedded(data.embedded_store()));
    let metrics = Arc::new(ConsumerMetrics::new(&prometheus::Registry::new()).unwrap());
    let replay = replay::align(&log, &store, &metrics).await.unwrap().unwrap();
    let pending = |done, left| {
        let text =
            format!("the log is being replayed into the store: {done}% done, {left} records left");
        assert_eq!(replay.pending().unwrap(), text);
    };
    pending(0, 40);

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let said = || {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter_map(|line| Some(line.split_once("replay: ")?.1.to_owned()));
        lines.collect::<Vec<_>>()
    };
    let shown = tokio::spawn(replay.clone().show());
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(11)).await;
    // A consumer has handled a half: what is left takes as long again.
    let half = log.positions().into_iter().map(|(partition, at)| (partition, at.end / 2));
    log.commit(half.collect::<Offsets>()).await.unwrap();
    let left = replay.left();
    pending(100 * (40 - left) / 40, left);
    tokio::time::sleep(Duration::from_secs(10)).await;
    tokio::time::resume();
    let seconds = left * 20 / (40 - left);
    let percent = 100 * (40 - left) / 40;
    assert_eq!(
        said(),
        [
            "replaying the log into the store percent=0 records_left=40".to_owned(),
            format!(
                "replaying the log into the store percent={percent} records_left={left} \
                 seconds_left={seconds}"
            ),
        ]
    );
    consume(&log, &store, metrics).await;
    shown.await.unwrap();
    assert_eq!(replay.pending(), None);
    assert_eq!(said()[2..], ["the log is replayed into the store records=40"]);
}

#[tokio::test]
async fn a_store_restored_from_an_older_copy_gets_what_it_lacks_and_no_more() {
    let data = Data::new();
    data.run(0..40).await;
    let copy = data.copy("store");
    data.run(40..55).await;
    data.restore("store", &copy);
    let ran = data.run(55..60).await;
    assert!(ran.was_pending);
    assert_eq!((ran.found.behind, ran.handled), (15, 20));
    assert_eq!(data.sessions(60).await, (0..60).collect::<Vec<_>>());
}

/// Without the checkpoint, the new records would have offsets below those that the store holds.
#[tokio::test]
async fn of_a_log_restored_from_an_older_copy_every_new_record_is_consumed() {
    let data = Data::new();
    data.run(0..20).await;
    let copy = data.copy("log");
    data.run(20..50).await;
    data.restore("log", &copy);
    let ran = data.run(50..60).await;
    assert!(ran.found.is_ahead && !ran.was_pending);
    assert_eq!(ran.handled, 10);
    assert_eq!(data.sessions(60).await, (0..60).collect::<Vec<_>>());
    // A newer copy of the log is another log from then on: all of it is replayed.
    let newer = data.run([]).await;
    assert_eq!((newer.handled, newer.found.is_ahead), (0, false));
}

/// Two logs grew from one copy: offsets of the one mean nothing in the other.
#[tokio::test]
async fn a_store_of_the_other_branch_of_a_restored_log_is_replayed_from_the_beginning() {
    let data = Data::new();
    data.run(0..20).await;
    let log = data.copy("log");
    data.run(20..50).await;
    let store = data.copy("store");
    data.restore("log", &log);
    data.run(50..90).await;
    data.restore("store", &store);
    let ran = data.run([]).await;
    assert_eq!(ran.handled, 60);
    assert_eq!(data.sessions(90).await, (0..90).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_of_a_version_without_checkpoints_is_taken_as_complete_once() {
    let data = Data::new();
    {
        // Without the comparison at the start, the store gets no checkpoint.
        let (log, store) = (data.log(), Store::Embedded(data.embedded_store()));
        for session in 0..30 {
            log.append(vec![start(session)]).await.unwrap();
        }
        let metrics = ConsumerMetrics::new(&prometheus::Registry::new()).unwrap();
        consume(&log, &store, Arc::new(metrics)).await;
    }
    fs::remove_file(data.dir.path().join("log/id")).unwrap();
    assert_eq!(data.embedded_store().holds().await.unwrap(), Holds::Unknown);
    let ran = data.run(30..40).await;
    assert_eq!((ran.handled, ran.found.behind), (10, 0));
    let Holds::To(checkpoint) = data.embedded_store().holds().await.unwrap() else { panic!() };
    assert_eq!(checkpoint.offsets.values().sum::<i64>(), 40);
}

/// A crash between the sync of the store and the commit of the offsets leaves the store ahead of
/// the committed offsets, but not of the log.
#[tokio::test]
async fn records_that_the_store_holds_and_the_log_has_not_committed_are_not_handled_again() {
    let data = Data::new();
    data.run(0..20).await;
    let committed = data.dir.path().join("log/records/committed.json");
    let before = fs::read(&committed).unwrap();
    data.run(20..30).await;
    fs::write(&committed, before).unwrap();
    let ran = data.run([]).await;
    assert_eq!((ran.handled, ran.found.is_ahead, ran.found.behind), (0, false, 0));
}

#[tokio::test]
async fn records_that_retention_took_before_the_store_had_them_are_counted() {
    let mut data = Data::new();
    data.options.segment_bytes = 300;
    data.run(0..30).await;
    let copy = data.copy("store");
    data.run(30..60).await;
    // Every consumed segment is too old when the next ones are begun.
    data.now = noon() + 30 * DAY;
    data.run(60..70).await;
    data.restore("store", &copy);
    let ran = data.run([]).await;
    assert!(ran.lost > 0, "retention removed nothing");
    assert_eq!(ran.lost, ran.found.lost);
    assert_eq!(ran.lost + ran.found.behind, 40);
    assert_eq!(ran.handled, ran.found.behind);
}

#[tokio::test]
async fn dead_letters_that_a_replay_writes_again_are_counted_apart() {
    let data = Data::new();
    data.append_garbage(7).await;
    assert_eq!(data.run(0..10).await.letters, (7, 0));
    data.append_garbage(2).await;
    assert_eq!(data.run([]).await.letters, (2, 0));
    fs::remove_dir_all(data.dir.path().join("store")).unwrap();
    data.append_garbage(1).await;
    assert_eq!(data.run([]).await.letters, (10, 9));
}
