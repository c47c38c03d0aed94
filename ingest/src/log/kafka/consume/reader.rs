//! Reads a topic from given offsets to given ends, without joining a group.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata},
    error::{KafkaError, KafkaResult},
};
use shared::clock::Clock;

use super::super::{
    client,
    context::Context,
    offsets::{
        Leaderless, TopicOffsets, fetch_id, fetch_offsets, fetch_partitions, other_topic,
        partition_list,
    },
    options::KafkaLogOptions,
    record::{self, RecordCopier},
    thread::drop_aside,
};
use crate::log::{Offsets, Partition, Record, TopicId};

/// How long one poll of the driver waits.
const POLL: Duration = Duration::from_millis(100);
/// How long a read waits for the next record before it fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A reader of one topic. Every call blocks, and so does its drop.
pub(crate) struct Reader {
    consumer: BaseConsumer<Context>,
    copier: RecordCopier,
    topic: String,
    id: TopicId,
    next: Offsets,
    ends: Offsets,
    /// The partitions that were read to their end.
    finished: BTreeSet<Partition>,
}

/// A topic, and the group whose offsets its readers fetch and commit.
#[derive(Clone)]
pub(crate) struct TopicSource {
    pub(crate) options: KafkaLogOptions,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) clock: Clock,
}

impl ConsumerContext for Context {}

impl TopicSource {
    pub(crate) fn new(options: &KafkaLogOptions, topic: &str, group: &str, clock: Clock) -> Self {
        Self { options: options.clone(), topic: topic.into(), group: group.into(), clock }
    }

    /// The partitions of the topic. Blocks.
    pub(crate) fn partitions(&self) -> KafkaResult<Vec<Partition>> {
        fetch_partitions(&self.client()?, &self.topic)
    }

    /// A client without an assignment.
    pub(super) fn client(&self) -> KafkaResult<BaseConsumer<Context>> {
        client::create(
            &client::reader(&self.options, &self.group),
            Context::new("reader", Arc::default()),
        )
    }

    /// A client without an assignment that also sees the records of open transactions.
    pub(super) fn uncommitted_client(&self) -> KafkaResult<BaseConsumer<Context>> {
        client::create(
            &client::uncommitted_reader(&self.options, &self.group),
            Context::new("uncommitted-reader", Arc::default()),
        )
    }

    /// Fetches the offsets of the topic for the group. Blocks.
    pub(in super::super) fn offsets(&self, leaderless: Leaderless) -> KafkaResult<TopicOffsets> {
        let client = self.client()?;
        let outcome = self.fetch(&client, leaderless);
        drop_aside(client);
        outcome
    }

    /// Fetches the low watermark of every partition. Blocks.
    pub(super) fn lows(&self) -> KafkaResult<Offsets> {
        Ok(self.offsets(Leaderless::Fail)?.lows)
    }

    /// Fetches the offsets of the topic for the group, with one of its clients. Blocks.
    pub(super) fn fetch(
        &self,
        client: &BaseConsumer<Context>,
        leaderless: Leaderless,
    ) -> KafkaResult<TopicOffsets> {
        fetch_offsets(client, &self.topic, leaderless, &|| self.uncommitted_client())
    }

    /// A reader from `from`, or else from the oldest records, to the present ends. `topic` is the
    /// topic that `from` belongs to; `None` before the first read. Blocks.
    pub(crate) fn read_from(self, topic: Option<TopicId>, from: &Offsets) -> KafkaResult<Reader> {
        let consumer = self.client()?;
        let found = self.fetch(&consumer, Leaderless::Fail)?;
        if topic.is_some_and(|topic| topic != found.topic) {
            return Err(other_topic());
        }
        self.reader(consumer, found.topic, from.clone(), found.ends)
    }

    /// A reader from `from` to `ends` of `topic`. Blocks.
    pub(super) fn read_between(
        self,
        topic: TopicId,
        from: Offsets,
        ends: Offsets,
    ) -> KafkaResult<Reader> {
        let consumer = self.client()?;
        self.reader(consumer, topic, from, ends)
    }

    pub(super) fn reader(
        self,
        consumer: BaseConsumer<Context>,
        id: TopicId,
        next: Offsets,
        ends: Offsets,
    ) -> KafkaResult<Reader> {
        let copier = RecordCopier::new(self.clock, id);
        let (topic, finished) = (self.topic, BTreeSet::new());
        let (before, after) = (Offsets::new(), Offsets::new());
        let mut reader =
            Reader { consumer, copier, topic, id, next: before, ends: after, finished };
        reader.restart(next, ends)?;
        Ok(reader)
    }
}

impl Reader {
    /// Continues from `next` to `ends` of the same topic.
    pub(super) fn restart(&mut self, next: Offsets, ends: Offsets) -> KafkaResult<()> {
        let is_finished =
            |(partition, end): &(&Partition, &i64)| next.get(*partition).unwrap_or(&0) >= *end;
        let finished: BTreeSet<_> =
            ends.iter().filter(is_finished).map(|(partition, _)| *partition).collect();
        let unfinished = ends.keys().filter(|partition| !finished.contains(partition));
        let begin = |partition: &Partition| {
            next.get(partition).map_or(Offset::Beginning, |next| Offset::Offset(*next))
        };
        let begins = unfinished.map(|partition| (*partition, begin(partition)));
        self.consumer.assign(&partition_list(&self.topic, begins)?)?;
        (self.next, self.ends, self.finished) = (next, ends, finished);
        Ok(())
    }

    /// Returns the next records, about `bytes` of them; none at the ends.
    ///
    /// # Errors
    /// [`KafkaError::MetadataFetch`] at the ends if the topic was created again meanwhile: the
    /// records may be of both topics.
    pub(crate) fn read(&mut self, bytes: usize) -> KafkaResult<Vec<Record>> {
        let (mut records, mut sizes) = (Vec::new(), 0);
        let mut last = Instant::now();
        while self.finished.len() < self.ends.len() && (records.is_empty() || sizes < bytes) {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    let record = self.copier.copy(&message);
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
                // Between the last record and the end are only transaction markers.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.finished.insert(partition);
                }
                Some(Err(error)) if last.elapsed() >= LIMIT => return Err(error),
                None if last.elapsed() >= LIMIT => return Err(KafkaError::NoMessageReceived),
                Some(Err(_)) | None => {}
            }
        }
        if records.is_empty() && fetch_id(&self.consumer, &self.topic)? != self.id {
            return Err(other_topic());
        }
        Ok(records)
    }

    /// The topic that it reads.
    pub(crate) fn topic(&self) -> TopicId {
        self.id
    }

    /// The offsets after everything read. A finished partition is read to its end.
    pub(crate) fn position(&self) -> Offsets {
        let mut offsets = self.next.clone();
        offsets.extend(self.ends.iter().filter(|(partition, _)| self.finished.contains(partition)));
        offsets
    }

    /// The group whose offsets a transaction commits.
    pub(crate) fn group_metadata(&self) -> KafkaResult<ConsumerGroupMetadata> {
        let unknown = KafkaError::ClientCreation("the driver does not know its group".to_owned());
        self.consumer.group_metadata().ok_or(unknown)
    }
}
