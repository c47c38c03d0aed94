//! Random operations, restarts and crashes, against a list.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::log::{Offsets, Partition};

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<u8>),
    Poll(usize),
    /// Commits this many sixteenths of the polled records.
    Commit(usize),
    Reopen,
    /// Kills the process during an append, of which this many sixteenths of the bytes are on the
    /// disk.
    Crash(Vec<u8>, usize),
    /// Fills the disk in the middle of an append.
    Full(Vec<u8>),
}

fn an_op() -> impl Strategy<Value = Op> {
    let keys = || vec(0..20_u8, 1..6);
    prop_oneof![
        5 => keys().prop_map(Op::Append),
        3 => (0..400_usize).prop_map(Op::Poll),
        3 => (0..=16_usize).prop_map(Op::Commit),
        1 => Just(Op::Reopen),
        2 => (keys(), 0..=16_usize).prop_map(|(keys, part)| Op::Crash(keys, part)),
        1 => keys().prop_map(Op::Full),
    ]
}

/// The partition, offset and value of a record.
type Row = (Partition, i64, String);

struct World {
    dir: LogDir,
    log: Option<EmbeddedLog>,
    /// Every acknowledged record, in order.
    rows: Vec<Row>,
    /// The records that the next polls return.
    next: Vec<Row>,
    polled: Vec<Row>,
    committed: BTreeMap<Partition, i64>,
    count: usize,
}

impl World {
    fn new(segment_bytes: u64) -> Self {
        let dir = LogDir { segment_bytes, ..LogDir::new() };
        let log = Some(dir.open());
        let (rows, next, polled) = Default::default();
        Self { dir, log, rows, next, polled, committed: BTreeMap::new(), count: 0 }
    }

    fn log(&self) -> &EmbeddedLog {
        self.log.as_ref().unwrap()
    }

    fn records(&mut self, keys: &[u8]) -> Vec<NewRecord> {
        let record = |key: &u8| {
            self.count += 1;
            record(
                &key.to_string(),
                &"v".repeat(usize::from(*key)).replacen('v', &self.count.to_string(), 1),
            )
        };
        keys.iter().map(record).collect()
    }

    fn rows_of(&self, records: &[NewRecord]) -> Vec<Row> {
        let mut rows = Vec::new();
        for record in records {
            let partition = murmur2::partition_u8(record.key.as_deref().unwrap(), 3).into();
            let before = self.rows.iter().chain(&rows).filter(|row| row.0 == partition).count();
            let value = String::from_utf8(record.value.to_vec()).unwrap();
            rows.push((partition, i64::try_from(before).unwrap(), value));
        }
        rows
    }

    fn acknowledged(&mut self, rows: Vec<Row>) {
        self.next.extend(rows.iter().cloned());
        self.rows.extend(rows);
    }

    fn reopened(&mut self) {
        self.log = Some(self.dir.open());
        self.polled.clear();
        let committed = |row: &&Row| row.1 >= self.committed.get(&row.0).copied().unwrap_or(0);
        self.next = self.rows.iter().filter(committed).cloned().collect();
    }

    async fn crash(&mut self, keys: &[u8], part: usize) {
        let records = self.records(keys);
        let rows = self.rows_of(&records);
        let last = |dir: &LogDir| *segment::list(&dir.path("")).unwrap().last().unwrap();
        let (before, durable) = (last(&self.dir), self.dir.bytes(last(&self.dir)).len());
        // Written, and not acknowledged.
        self.dir.fail(Some(Fault::Sync));
        assert!(matches!(self.log().append(records).await, Err(LogError::Poisoned(_))));
        let after = self.dir.copy();
        self.log = None;
        let mut bytes = after.bytes(last(&after));
        let durable = if last(&after) == before { durable } else { 0 };
        let kept = durable + (bytes.len() - durable) * part / 16;
        let whole = kept == bytes.len();
        bytes.truncate(kept);
        fs::write(after.segment(last(&after)), bytes).unwrap();
        self.dir = after;
        if whole {
            self.rows.extend(rows);
        }
        self.reopened();
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Append(keys) => {
                let records = self.records(&keys);
                let rows = self.rows_of(&records);
                self.log().append(records).await.unwrap();
                self.acknowledged(rows);
            }
            Op::Poll(bytes) => {
                if !self.next.is_empty() {
                    let polled = rows(&self.log().poll(bytes).await.unwrap());
                    assert!(!polled.is_empty());
                    let expected: Vec<_> =
                        self.next.drain(..polled.len().min(self.next.len())).collect();
                    assert_eq!(polled, expected);
                    self.polled.extend(polled);
                }
            }
            Op::Commit(part) => {
                let mut offsets = Offsets::new();
                for (partition, offset, _) in &self.polled[..self.polled.len() * part / 16] {
                    offsets.insert(*partition, offset + 1);
                }
                self.log().records().commit(offsets.clone()).await.unwrap();
                for (partition, offset) in offsets {
                    let committed = self.committed.entry(partition).or_default();
                    *committed = offset.max(*committed);
                }
            }
            Op::Reopen => {
                self.log = None;
                self.reopened();
            }
            Op::Crash(keys, part) => self.crash(&keys, part).await,
            Op::Full(keys) => {
                let records = self.records(&keys);
                self.dir.fail(Some(Fault::Full));
                assert!(matches!(self.log().append(records).await, Err(LogError::Busy(_))));
                self.dir.fail(None);
            }
        }
    }

    async fn check(&self) {
        let (mut cursor, mut all) = (EmbeddedCursor::default(), Vec::new());
        loop {
            let more = rows(&self.log().read(&mut cursor, 50).await.unwrap());
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        assert_eq!(all, self.rows);
        for (partition, position) in self.log().records().positions() {
            let end = self.rows.iter().filter(|row| row.0 == partition).count();
            assert_eq!(position.end, i64::try_from(end).unwrap());
            assert_eq!(position.committed, self.committed.get(&partition).copied().unwrap_or(0));
        }
    }
}

fn rows(records: &[Record]) -> Vec<Row> {
    let row = |record: &Record| {
        (
            record.partition,
            record.offset,
            String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap(),
        )
    };
    records.iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list_whatever_happens_to_its_process(
        ops in vec(an_op(), 1..40),
        segment_bytes in prop_oneof![Just(1), Just(300), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(segment_bytes);
            for op in ops {
                world.run(op).await;
                world.check().await;
            }
            world.log = None;
            world.reopened();
            world.check().await;
        });
    }
}
