//! Consuming: the membership in the consumer group, and readers outside it.

use self::reader::Reader;
use super::{
    KafkaLog,
    thread::{DroppedAside, off_runtime},
};
use crate::log::{LogError, Offsets, Record};

mod assignment;
mod buffer;
pub(super) mod group;
mod member;
mod observer;
pub(super) mod reader;

/// The position of a reader of the whole log.
#[derive(Default)]
pub struct KafkaCursor {
    next: Offsets,
    /// Reads up to the ends that the partitions had when it started.
    reader: Option<DroppedAside<Box<Reader>>>,
}

impl KafkaLog {
    pub(in crate::log) async fn read(
        &self,
        cursor: &mut KafkaCursor,
        bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let source = self.records_source();
        let (next, reader) = (cursor.next.clone(), cursor.reader.take());
        let step = off_runtime("kafka-read", move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => DroppedAside::new(Box::new(source.read_from(&next)?)),
            };
            let records = reader.get_mut().map_or(Ok(Vec::new()), |reader| reader.read(bytes))?;
            Ok((records, reader))
        });
        let (records, reader) = step.await?;
        if !records.is_empty() {
            cursor.next.extend(records.iter().map(|record| (record.partition, record.offset + 1)));
            cursor.reader = Some(reader);
        }
        Ok(records)
    }
}
