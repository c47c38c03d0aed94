//! Copies records out of the driver's memory, many into one allocation, and sets their append time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message, Timestamp as KafkaTimestamp,
    message::{BorrowedMessage, Headers},
};
use shared::{clock::Clock, timestamp::Timestamp};

use crate::log::{Header, Record};

/// The header with the first append time of a record that was appended again. It is trusted only if
/// it is earlier than the brokers' own time, because any producer can write it.
pub(super) const APPEND_TIME: &str = "bookend.append_time";

/// The size in bytes of the allocation that records share.
const CHUNK: usize = 256 << 10;

/// Copies records.
pub(super) struct RecordCopier {
    clock: Clock,
    /// The clock's last reading.
    now: Timestamp,
    chunk: BytesMut,
}

impl RecordCopier {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, now: clock.now(), chunk: BytesMut::new() }
    }

    pub(super) fn copy(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let (key, value) = (
            message.key().map(|key| self.copy_bytes(key)),
            message.payload().map(|value| self.copy_bytes(value)),
        );
        let (headers, first_appended) = message.headers().map(headers).unwrap_or_default();
        let append_time = self.append_time(message.timestamp());
        Record {
            partition: message.partition(),
            offset: message.offset(),
            key,
            value,
            headers,
            append_time: first_appended.map_or(append_time, |first| first.min(append_time)),
        }
    }

    fn copy_bytes(&mut self, bytes: &[u8]) -> Bytes {
        if self.chunk.capacity() - self.chunk.len() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    /// The time at which an event is judged. A producer's timestamp is trusted about the past only.
    fn append_time(&mut self, kafka_time: KafkaTimestamp) -> Timestamp {
        let time = kafka_time.to_millis().and_then(Timestamp::from_millis);
        match (kafka_time, time) {
            (KafkaTimestamp::LogAppendTime(_), Some(time)) => time,
            // Reading the clock for each record would be costly, and its last reading is in the
            // past.
            (KafkaTimestamp::CreateTime(_), Some(time)) if time <= self.now => time,
            (KafkaTimestamp::CreateTime(_), Some(time)) => time.min(self.read_clock()),
            _ => self.read_clock(),
        }
    }

    fn read_clock(&mut self) -> Timestamp {
        self.now = self.clock.now();
        self.now
    }
}

/// The headers of a record without our own, and the value of our own.
fn headers<H: Headers>(all: &H) -> (Vec<Header>, Option<Timestamp>) {
    let (mut headers, mut first_appended) = (Vec::new(), None);
    for index in 0..all.count() {
        // The driver panics on a name that is not UTF-8, which any producer can write: skip it.
        let Ok(header) = catch_unwind(AssertUnwindSafe(|| all.get(index))) else { continue };
        if header.key == APPEND_TIME {
            first_appended =
                header.value.and_then(|value| Timestamp::parse(str::from_utf8(value).ok()?));
        } else {
            let value = header.value.map(Bytes::copy_from_slice);
            headers.push(Header { name: header.key.to_owned(), value });
        }
    }
    (headers, first_appended)
}

/// The approximate memory of a record in bytes.
pub(super) fn size(record: &Record) -> usize {
    let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers = record
        .headers
        .iter()
        .map(|header| header.name.len() + bytes(&header.value) + size_of::<Header>());
    size_of::<Record>() + bytes(&record.key) + bytes(&record.value) + headers.sum::<usize>()
}
