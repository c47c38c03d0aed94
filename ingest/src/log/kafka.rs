//! The log on Kafka: records in one topic, dead letters in another beside it, what is committed in a consumer group.
//!
//! Nothing here blocks the runtime, and no fault of the cluster ends the process: appends are refused and polls wait until it has
//! passed. The group is joined with the first poll, so a process that only appends is no member.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;
use rdkafka::{consumer::BaseConsumer, error::KafkaError, types::RDKafkaErrorCode};
use shared::{
    clock::Clock,
    timestamp::{MINUTE, Timestamp},
};
use tokio::sync::Mutex as AsyncMutex;

use self::{
    context::Context,
    group::Group,
    positions::Positions,
    producer::{Outgoing, Producer, busy},
    reader::{Reader, Reading},
    thread::{DroppedAside, drop_aside, off_runtime},
};
pub use self::{
    options::{GroupProtocol, KafkaLogOptions, Mechanism, Mistake, Security},
    setup::setup,
};
use super::{
    DeadLetter, Header, LogError, NewRecord, Offsets, OpenError, Partition, Position, Record,
};

mod assignment;
mod client;
mod context;
mod delivery;
mod group;
mod letters;
mod look;
mod member;
mod options;
mod positions;
mod producer;
mod reader;
mod record;
mod redrive;
mod setup;
mod thread;
mod waiting;

/// How many dead letters are appended at once: however many there are, there is room left for what clients send.
const LETTERS_AT_ONCE: usize = 100;
/// How long the drain of a close may take.
const CLOSING: Duration = Duration::from_secs(5);

/// The log on Kafka. Clones share it.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    options: KafkaLogOptions,
    clock: Clock,
    /// The clock shows another time than the brokers': what is appended says when that was.
    stamps: bool,
    producer: Producer,
    group: Group,
    records: Arc<Positions>,
    letters: Positions,
    /// One redrive at a time.
    redriving: AsyncMutex<()>,
}

/// Where a reader of the whole log stands.
#[derive(Default)]
pub struct KafkaCursor {
    next: Offsets,
    /// Reads up to where the log ended when it began.
    reader: Option<DroppedAside<Box<Reader>>>,
}

/// The version of the library underneath.
#[must_use]
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

impl KafkaLog {
    /// The log that `options` name. The brokers need not be there yet. `clock` says what time it is where they do not.
    ///
    /// # Errors
    /// [`OpenError::Configuration`]: a mistake in the options, or a topic that does not exist.
    pub async fn open(options: KafkaLogOptions, clock: Clock) -> Result<Self, OpenError> {
        options.check()?;
        let machine = Clock::machine().now();
        if clock.now() > machine + MINUTE {
            return Err(OpenError::Configuration(
                "kafka: a clock that is ahead of the brokers' has events taken that they say are of the future".to_owned(),
            ));
        }
        let member = options.clone();
        let joinable = off_runtime("kafka-check", move || {
            let context = Context::new("check", Arc::default());
            client::made::<BaseConsumer<Context>>(&client::member(&member), context).map(drop_aside)
        });
        joinable.await?.map_err(|cause| OpenError::Configuration(format!("kafka: {cause}")))?;
        let producer = Producer::open(&options)?;
        let reading = Reading { clock, ..Reading::new(&options, &options.topic, &options.group) };
        let records = Arc::<Positions>::default();
        let log = Self(Arc::new(Inner {
            clock,
            stamps: clock.now() < machine - MINUTE,
            producer,
            group: Group::new(reading.clone(), Arc::clone(&records)),
            records,
            letters: Positions::default(),
            redriving: AsyncMutex::default(),
            options,
        }));
        let look = |reading: Reading| async move {
            (reading.topic.clone(), off_runtime("kafka-look", move || reading.look()).await)
        };
        let (records, letters) = tokio::join!(look(reading), look(log.letters()));
        for (positions, (topic, found)) in [(&*log.0.records, records), (&log.0.letters, letters)] {
            match found? {
                Ok(found) => positions.found(&BTreeMap::new(), &found),
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition,
                )) => {
                    return Err(OpenError::Configuration(format!(
                        "kafka: there is no topic {topic}: `bookend setup` makes it"
                    )));
                }
                Err(KafkaError::ClientCreation(cause)) => {
                    return Err(OpenError::Configuration(format!("kafka: {cause}")));
                }
                Err(error) => {
                    tracing::warn!(%error, topic, "the brokers cannot be asked yet; it begins all the same");
                    break;
                }
            }
        }
        Ok(log)
    }

    /// How the dead letters are read.
    fn letters(&self) -> Reading {
        let Inner { options, clock, .. } = &*self.0;
        Reading {
            clock: *clock,
            ..Reading::new(options, &options.letters_topic(), &options.redrive_group())
        }
    }

    pub(super) async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let now = self.0.stamps.then(|| self.0.clock.now());
        let records =
            records.into_iter().map(|NewRecord { key, value, mut headers, append_time }| {
                if let Some(time) = append_time.or(now) {
                    let (name, value) =
                        (record::APPEND_TIME.to_owned(), Some(time.to_string().into()));
                    headers.push(Header { name, value });
                }
                Outgoing { key, value: Some(value), headers }
            });
        self.0.producer.append(&self.0.options.topic, records).await
    }

    pub(super) async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        self.0.group.poll(bytes).await
    }

    pub(super) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        self.0.group.commit(offsets).await
    }

    pub(super) async fn read(
        &self,
        cursor: &mut KafkaCursor,
        bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let Inner { options, clock, .. } = &*self.0;
        let reading =
            Reading { clock: *clock, ..Reading::new(options, &options.topic, &options.group) };
        let (next, reader) = (cursor.next.clone(), cursor.reader.take());
        let step = off_runtime("kafka-read", move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => DroppedAside::new(Box::new(reading.begin(&next)?)),
            };
            let records = reader.get_mut().map_or(Ok(Vec::new()), |reader| reader.read(bytes))?;
            Ok::<_, KafkaError>((records, reader))
        });
        let (records, reader) = step.await?.map_err(|cause| busy(&cause))?;
        if !records.is_empty() {
            cursor.next.extend(records.iter().map(|record| (record.partition, record.offset + 1)));
            cursor.reader = Some(reader);
        }
        Ok(records)
    }

    pub(super) async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<(), LogError> {
        for some in letters.chunks(LETTERS_AT_ONCE) {
            try_join_all(some.iter().map(|letter| self.append_whole_or_cut(letter))).await?;
        }
        Ok(())
    }

    /// A letter that is too large for the brokers is cut rather than tried for ever.
    async fn append_whole_or_cut(&self, letter: &DeadLetter) -> Result<(), LogError> {
        for cut in 0..=letters::TIMES_CUT {
            match self.append_letter(letters::outgoing(letter, &self.0.options.topic, cut)).await? {
                Ok(()) => return Ok(()),
                Err(cause)
                    if cause.rdkafka_error_code()
                        == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {}
                Err(cause) => return Err(busy(&cause)),
            }
        }
        Err(LogError::Busy("the brokers take no dead letter, however short".to_owned()))
    }

    async fn append_letter(&self, letter: Outgoing) -> Result<Result<(), KafkaError>, LogError> {
        let outcome = self.0.producer.append_one(&self.0.options.letters_topic(), letter).await?;
        Ok(outcome.map(|place| {
            let ends = place.map(|(partition, offset)| (partition, offset + 1));
            self.0.letters.reach(&ends.into_iter().collect());
        }))
    }

    pub(super) fn positions(&self) -> BTreeMap<Partition, Position> {
        self.0.records.get()
    }

    /// Records of the dead letters' topic behind what redrives have looked at. Marks of transactions count too, if a producer
    /// of another make has written there.
    pub(super) fn dead_letters(&self) -> u64 {
        let left = self.0.letters.get().into_values().map(|at| at.end - at.committed).sum::<i64>();
        u64::try_from(left).unwrap_or(0)
    }

    pub(super) fn queued(&self) -> usize {
        self.0.producer.queued()
    }

    pub(super) fn ready(&self) -> Result<(), LogError> {
        self.0.producer.ready()
    }

    pub(super) fn held(&self) -> BTreeSet<Partition> {
        self.0.group.held()
    }

    pub(super) fn oldest_waiting(&self) -> Option<Timestamp> {
        self.0.group.oldest_waiting()
    }

    pub(super) fn rebalances(&self) -> u64 {
        self.0.group.rebalances()
    }

    pub(super) async fn close(&self) {
        let (leaving, producer) = (self.0.group.close(), self.0.producer.clone());
        let closed = off_runtime("kafka-close", move || {
            producer.flush(CLOSING);
            leaving.map(std::thread::JoinHandle::join)
        });
        if tokio::time::timeout(2 * CLOSING, closed).await.is_err() {
            tracing::warn!(
                "the group could not be left in time: its partitions move when the brokers miss us"
            );
        }
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaLog")
    }
}

#[cfg(test)]
mod tests;
