//! The contract of `Log`, which every backend keeps, and the promises of the embedded log about its
//! directory. The Kafka is a real one.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use ingest::log::{Log, NewRecord, Partition, Record, murmur2};
use shared::clock::Clock;
use test_support::stack;

#[path = "log_contract/appending.rs"]
mod appending;
#[path = "log_contract/committing.rs"]
mod committing;
#[path = "log_contract/dead_letters.rs"]
mod dead_letters;
#[path = "log_contract/embedded.rs"]
mod embedded;
#[path = "log_contract/kafka.rs"]
mod kafka;

/// No test takes this long, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// One log of one backend. Reopening it drops the previous one first.
trait Backend: Sized {
    async fn fresh() -> Self;
    /// Opens it as a process does at its start.
    async fn open(&self) -> Log;
    /// The number of partitions.
    fn partitions(&self) -> u32;
    /// The clock that sets append times.
    fn clock(&self) -> Clock;
}

/// Expands to a test of each named behaviour on each backend: `behaviour(backend)`.
macro_rules! contract {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_the_embedded_log {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let backend = <crate::embedded::LogDir as crate::Backend>::fresh().await;
                    tokio::time::timeout(crate::LIMIT, super::$behaviour(&backend)).await.unwrap();
                }
            )+
        }

        mod on_kafka {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let backend = <crate::kafka::Topic as crate::Backend>::fresh().await;
                    tokio::time::timeout(crate::LIMIT, super::$behaviour(&backend)).await.unwrap();
                }
            )+
        }
    };
}
pub(crate) use contract;

fn record(key: &str, value: impl Into<Bytes>) -> NewRecord {
    NewRecord::new(Bytes::copy_from_slice(key.as_bytes()), value.into())
}

/// `count` records with distinct values under `keys` keys.
fn records(prefix: &str, keys: usize, count: usize) -> Vec<NewRecord> {
    (0..count).map(|n| record(&format!("user-{}", n % keys), format!("{prefix}-{n}"))).collect()
}

/// Polls until `count` records have arrived. Panics if a poll returns more.
async fn poll(log: &Log, count: usize) -> Vec<Record> {
    let mut polled = Vec::new();
    while polled.len() < count {
        let more = tokio::time::timeout(LIMIT, log.poll(100)).await;
        let more = more
            .unwrap_or_else(|_| panic!("only {} of {count} have arrived", polled.len()))
            .unwrap();
        assert!(!more.is_empty());
        polled.extend(more);
    }
    assert_eq!(polled.len(), count, "{polled:?}");
    polled
}

/// Asserts that polling returns exactly `expected` and then waits: the next record is one that is
/// appended afterwards.
async fn poll_exactly(log: &Log, expected: &[NewRecord]) {
    let last = record("last", "last");
    log.append(vec![last.clone()]).await.unwrap();
    let mut expected = expected.to_vec();
    expected.push(last);
    assert_eq!(texts(&poll(log, expected.len()).await), texts_of_new(&expected));
}

/// Sorts records by partition and offset: a log has no order across partitions.
fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// A key and a value.
type Text = (Option<Bytes>, Option<Bytes>);

fn texts(records: &[Record]) -> Vec<Text> {
    let mut all: Vec<_> =
        records.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
    all.sort();
    all
}

fn texts_of_new(records: &[NewRecord]) -> Vec<Text> {
    let text = |record: &NewRecord| (record.key.clone(), Some(record.value.clone()));
    let mut all: Vec<_> = records.iter().map(text).collect();
    all.sort();
    all
}

/// Reads every record of the log, committed or not.
async fn read_all(log: &Log) -> Vec<Record> {
    let (mut cursor, mut all) = (log.cursor(), Vec::new());
    loop {
        let more = log.read(&mut cursor, 100).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Groups records by partition, keeping their order.
fn by_partition(records: &[Record]) -> BTreeMap<Partition, Vec<&Record>> {
    let mut partitions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.partition).or_default().push(record);
    }
    partitions
}

fn partition_of(key: &[u8], partitions: u32) -> Partition {
    Partition::try_from(murmur2::partition(key, partitions)).unwrap()
}
