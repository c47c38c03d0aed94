//! Consuming: the membership in the consumer group, and readers outside it.

use std::collections::BTreeSet;

use shared::event::RejectionCode;

use self::reader::Reader;
use super::{
    KafkaLog,
    append::letters,
    thread::{DroppedAside, off_runtime},
};
use crate::log::{
    DeadLetter, DeadLetterCode, LogError, Offsets, Origin, Partition, Record, TopicId,
};

mod assignment;
mod buffer;
pub(super) mod group;
pub(super) mod handled;
mod held;
mod member;
mod newest;
mod observer;
pub(super) mod reader;
mod rebalance;
mod topic;
mod watch;

/// The bytes of dead letters that are read together.
const LETTER_BYTES: usize = 4 << 20;

/// The position of a reader of the whole log.
#[derive(Default)]
pub struct KafkaCursor {
    /// The topic that `next` belongs to; `None` before the first read.
    topic: Option<TopicId>,
    next: Offsets,
    /// Reads up to the ends that the partitions had when it started.
    reader: Option<DroppedAside<Box<Reader>>>,
}

impl KafkaLog {
    pub(in crate::log) async fn refused_as_future(
        &self,
    ) -> Result<BTreeSet<(Partition, i64)>, LogError> {
        let (source, topic) = (self.letters_source(), self.0.options.topic.clone());
        let id = self.0.records.known().topic;
        let reading = off_runtime("kafka-read", move || {
            let mut reader = DroppedAside::new(source.read_from(None, &Offsets::new())?);
            let mut found = BTreeSet::new();
            while let Some(reader) = reader.get_mut() {
                let read = reader.read(LETTER_BYTES)?;
                if read.is_empty() {
                    break;
                }
                let refused = read.iter().filter(|letter| {
                    letters::code(letter) == Some(DeadLetterCode::Rejected(RejectionCode::Future))
                });
                found.extend(refused.filter_map(|letter| letters::place(letter, &topic, id)));
            }
            Ok(found)
        });
        Ok(reading.await?)
    }

    pub(in crate::log) fn origin(&self, letter: &DeadLetter) -> Option<Origin> {
        letters::origin(&letters::outgoing(letter, &self.0.options.topic, 0).headers)
    }

    pub(in crate::log) async fn lows(&self) -> Result<Offsets, LogError> {
        let source = self.records_source();
        Ok(off_runtime("kafka-lows", move || source.lows()).await?)
    }

    pub(in crate::log) async fn read(
        &self,
        cursor: &mut KafkaCursor,
        bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let source = self.records_source();
        let (topic, next, reader) = (cursor.topic, cursor.next.clone(), cursor.reader.take());
        let step = off_runtime("kafka-read", move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => DroppedAside::new(Box::new(source.read_from(topic, &next)?)),
            };
            let records = reader.get_mut().map_or(Ok(Vec::new()), |reader| reader.read(bytes))?;
            Ok((records, reader))
        });
        let (records, reader) = step.await?;
        cursor.topic = reader.get().map(|reader| reader.topic());
        if !records.is_empty() {
            cursor.next.extend(records.iter().map(|record| (record.partition, record.offset + 1)));
            cursor.reader = Some(reader);
        }
        Ok(records)
    }
}
