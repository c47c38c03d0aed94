//! Copies records out of the driver's memory, many into one allocation, and sets their append time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message, Timestamp as KafkaTimestamp,
    message::{BorrowedMessage, Headers},
};
use shared::{clock::Clock, timestamp::Timestamp};

use crate::log::{Header, Record, TopicId};

/// The header with the first append time of a record that was appended again. It is trusted only if
/// it is earlier than the brokers' own time, because any producer can write it.
pub(super) const APPEND_TIME: &str = "bookend.append_time";
/// The header with the latest `ts` that an endpoint accepted when it appended the record. It counts
/// up to [`LATEST_TS_LIMIT`](crate::log::LATEST_TS_LIMIT) after the append time.
pub(super) const LATEST_TS: &str = "bookend.latest_ts";

/// The size in bytes of the allocation that records share.
const CHUNK: usize = 256 << 10;

/// Copies records.
pub(super) struct RecordCopier {
    clock: Clock,
    topic: TopicId,
    chunk: BytesMut,
}

/// The headers of a record: our own, decoded, and the others.
#[derive(Default)]
struct Decoded {
    others: Vec<Header>,
    first_appended: Option<Timestamp>,
    latest_ts: Option<Timestamp>,
}

impl RecordCopier {
    /// A copier of records of `topic`.
    pub(super) fn new(clock: Clock, topic: TopicId) -> Self {
        Self { clock, topic, chunk: BytesMut::new() }
    }

    pub(super) fn copy(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let (key, value) = (
            message.key().map(|key| self.copy_bytes(key)),
            message.payload().map(|value| self.copy_bytes(value)),
        );
        let decoded = message.headers().map(decode).unwrap_or_default();
        let stamp = match message.timestamp() {
            KafkaTimestamp::LogAppendTime(millis) => Timestamp::from_millis(millis),
            // A producer's own time proves nothing.
            KafkaTimestamp::CreateTime(_) | KafkaTimestamp::NotAvailable => None,
        };
        let append_time = stamp.unwrap_or_else(|| self.clock.now());
        let append_time =
            decoded.first_appended.map_or(append_time, |first| first.min(append_time));
        Record {
            partition: message.partition(),
            offset: message.offset(),
            key,
            value,
            headers: decoded.others,
            append_time,
            topic: self.topic,
            unstamped: stamp.is_none(),
            latest_ts: decoded.latest_ts.map(|latest| Record::limit_latest_ts(latest, append_time)),
        }
    }

    fn copy_bytes(&mut self, bytes: &[u8]) -> Bytes {
        if self.chunk.capacity() - self.chunk.len() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}

fn decode<H: Headers>(all: &H) -> Decoded {
    let mut decoded = Decoded::default();
    for index in 0..all.count() {
        // The driver panics on a name that is not UTF-8, which any producer can write: skip it.
        let Ok(header) = catch_unwind(AssertUnwindSafe(|| all.get(index))) else { continue };
        let time = || header.value.and_then(|value| Timestamp::parse(str::from_utf8(value).ok()?));
        match header.key {
            APPEND_TIME => decoded.first_appended = time(),
            LATEST_TS => decoded.latest_ts = time(),
            name => decoded.others.push(Header {
                name: name.to_owned(),
                value: header.value.map(Bytes::copy_from_slice),
            }),
        }
    }
    decoded
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
