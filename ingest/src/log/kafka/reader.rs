//! Reads a topic from given offsets to given ends, by itself: no member of a group, and nothing that it reads is committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
};
use shared::clock::Clock;

use super::{
    client,
    context::Context,
    look::{self, look},
    options::KafkaLogOptions,
    record::{self, Copier},
    thread::drop_aside,
};
use crate::log::{Offsets, Partition, Position, Record};

/// How long the driver is waited for at a time.
const POLL: Duration = Duration::from_millis(100);
/// How long the brokers may take to know of a topic that was made.
const NEW_TOPIC: Duration = Duration::from_secs(3);
/// How long nothing may come before a read fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A reader of one topic. Everything it does blocks, its drop too.
pub(super) struct Reader {
    consumer: BaseConsumer<Context>,
    copier: Copier,
    topic: String,
    next: Offsets,
    ends: Offsets,
    /// The partitions whose end it has met.
    finished: BTreeSet<Partition>,
}

/// Who reads what.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) options: KafkaLogOptions,
    pub(super) topic: String,
    /// The group whose offsets are committed, if any are.
    pub(super) group: String,
    pub(super) clock: Clock,
}

impl ConsumerContext for Context {}

impl Reading {
    /// Of `topic`, for `group`.
    pub(super) fn new(options: &KafkaLogOptions, topic: &str, group: &str) -> Self {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        Self { options: options.clone(), topic, group, clock: Clock::machine() }
    }

    /// The partitions of the topic. Blocks.
    pub(super) fn partitions(&self) -> KafkaResult<Vec<Partition>> {
        look::partitions(&self.client()?, &self.topic)
    }

    /// A client that reads nothing yet.
    pub(super) fn client(&self) -> KafkaResult<BaseConsumer<Context>> {
        client::made(
            &client::reader(&self.options, &self.group),
            Context::new("reader", Arc::default()),
        )
    }

    /// A client that reads nothing, but sees behind transactions that are still open.
    pub(super) fn onlooker(&self) -> KafkaResult<BaseConsumer<Context>> {
        client::made(
            &client::onlooker(&self.options, &self.group),
            Context::new("onlooker", Arc::default()),
        )
    }

    /// Where the topic stands now for the group. One that the brokers do not know may have been made just now: it is waited
    /// for a little. Blocks.
    pub(super) fn look(&self) -> KafkaResult<BTreeMap<Partition, Position>> {
        let (client, begun) = (self.client()?, Instant::now());
        let outcome = loop {
            match look(&client, &self.topic) {
                Err(KafkaError::MetadataFetch(code))
                    if look::is_unknown(code) && begun.elapsed() < NEW_TOPIC =>
                {
                    std::thread::sleep(POLL);
                }
                outcome => break outcome,
            }
        };
        drop_aside(client);
        outcome.map(|found| found.positions)
    }

    /// A reader from `from` on, or from the first record that is left of a partition that is not in it, up to where the topic
    /// ends now. Blocks.
    pub(super) fn begin(self, from: &Offsets) -> KafkaResult<Reader> {
        let consumer = self.client()?;
        let found = look(&consumer, &self.topic)?.positions;
        let ends = found.iter().map(|(partition, at)| (*partition, at.end)).collect();
        self.over(consumer, from.clone(), ends)
    }

    /// A reader of what the group has not committed, up to where the topic ends now. Blocks.
    pub(super) fn begin_uncommitted(self) -> KafkaResult<Reader> {
        let consumer = self.client()?;
        let found = look(&consumer, &self.topic)?.positions;
        let next = found.iter().map(|(partition, at)| (*partition, at.committed)).collect();
        let ends = found.iter().map(|(partition, at)| (*partition, at.end)).collect();
        self.over(consumer, next, ends)
    }

    /// A reader from `from` to `ends`. Blocks.
    pub(super) fn between(self, from: Offsets, ends: Offsets) -> KafkaResult<Reader> {
        let consumer = self.client()?;
        self.over(consumer, from, ends)
    }

    fn over(
        self,
        consumer: BaseConsumer<Context>,
        next: Offsets,
        ends: Offsets,
    ) -> KafkaResult<Reader> {
        let finished: BTreeSet<Partition> = ends
            .iter()
            .filter(|(partition, end)| next.get(partition).unwrap_or(&0) >= end)
            .map(|(p, _)| *p)
            .collect();
        let left = ends.keys().filter(|partition| !finished.contains(partition));
        let begin = |partition: &Partition| {
            next.get(partition).map_or(Offset::Beginning, |next| Offset::Offset(*next))
        };
        let list = look::list(&self.topic, left.map(|partition| (*partition, begin(partition))))?;
        consumer.assign(&list)?;
        Ok(Reader {
            consumer,
            copier: Copier::new(self.clock),
            topic: self.topic,
            next,
            ends,
            finished,
        })
    }
}

impl Reader {
    /// The next records, about `bytes` of them; none at the ends.
    pub(super) fn read(&mut self, bytes: usize) -> KafkaResult<Vec<Record>> {
        let (mut records, mut sizes) = (Vec::new(), 0);
        let mut last = Instant::now();
        while self.finished.len() < self.ends.len() && (records.is_empty() || sizes < bytes) {
            match self.consumer.poll(POLL) {
                Some(Ok(given)) => {
                    last = Instant::now();
                    let record = self.copier.record(&given);
                    let Some(end) = self.ends.get(&record.partition) else { continue };
                    if record.offset + 1 >= *end {
                        self.finished.insert(record.partition);
                    }
                    if record.offset < *end {
                        self.next.insert(record.partition, record.offset + 1);
                        sizes += record::size(&record);
                        records.push(record);
                    }
                }
                // What lies between the last record and the end is none.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.finished.insert(partition);
                }
                Some(Err(error)) if last.elapsed() >= LIMIT => return Err(error),
                None if last.elapsed() >= LIMIT => return Err(KafkaError::NoMessageReceived),
                Some(Err(_)) | None => {}
            }
        }
        Ok(records)
    }

    /// Commits for the reader's group that everything that was read is done with; at the ends, also what is behind the last
    /// record.
    pub(super) fn commit(&self) -> KafkaResult<Offsets> {
        let mut offsets = self.next.clone();
        offsets.extend(self.ends.iter().filter(|(partition, _)| self.finished.contains(partition)));
        let list = offsets.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset)));
        let list = look::list(&self.topic, list)?;
        if !offsets.is_empty() {
            self.consumer.commit(&list, CommitMode::Sync)?;
        }
        Ok(offsets)
    }
}
