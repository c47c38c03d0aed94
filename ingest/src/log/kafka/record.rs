//! A record as the driver hands it out, made ours: its bytes copied together with its neighbours', its append time decided.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message, Timestamp as Stamp,
    message::{BorrowedMessage, Headers},
};
use shared::{clock::Clock, timestamp::Timestamp};

use crate::log::{Header, Record};

/// The header that says when a record was first appended, on one that was appended again. It is believed only when it is
/// earlier than what the brokers say: anyone can write it.
pub(super) const APPEND_TIME: &str = "bookend.append_time";

/// How many bytes of records share a piece of memory.
const PIECE: usize = 256 << 10;

/// Makes records ours.
pub(super) struct Copier {
    clock: Clock,
    /// When that was last looked at.
    now: Timestamp,
    piece: BytesMut,
}

impl Copier {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, now: clock.now(), piece: BytesMut::new() }
    }

    pub(super) fn record(&mut self, given: &BorrowedMessage<'_>) -> Record {
        let (key, value) = (
            given.key().map(|key| self.copied(key)),
            given.payload().map(|value| self.copied(value)),
        );
        let (headers, first_appended) = given.headers().map(headers).unwrap_or_default();
        let append_time = self.append_time(given.timestamp());
        Record {
            partition: given.partition(),
            offset: given.offset(),
            key,
            value,
            headers,
            append_time: first_appended.map_or(append_time, |first| first.min(append_time)),
        }
    }

    fn copied(&mut self, bytes: &[u8]) -> Bytes {
        if self.piece.capacity() - self.piece.len() < bytes.len() {
            self.piece = BytesMut::with_capacity(PIECE.max(bytes.len()));
        }
        self.piece.extend_from_slice(bytes);
        self.piece.split().freeze()
    }

    /// A producer's own stamp is believed only about the past.
    fn append_time(&mut self, stamp: Stamp) -> Timestamp {
        let time = stamp.to_millis().and_then(Timestamp::from_millis);
        match (stamp, time) {
            (Stamp::LogAppendTime(_), Some(time)) => time,
            // What is before the last look is before now: a look a record would be a part of what a record costs.
            (Stamp::CreateTime(_), Some(time)) if time <= self.now => time,
            (Stamp::CreateTime(_), Some(time)) => time.min(self.look()),
            _ => self.look(),
        }
    }

    fn look(&mut self) -> Timestamp {
        self.now = self.clock.now();
        self.now
    }
}

/// The headers of a record but our own, and what that one says.
fn headers<H: Headers>(given: &H) -> (Vec<Header>, Option<Timestamp>) {
    let (mut headers, mut first_appended) = (Vec::new(), None);
    for index in 0..given.count() {
        // The driver panics over a name that is not UTF-8, which anyone can write: that header is left out.
        let Ok(header) = catch_unwind(AssertUnwindSafe(|| given.get(index))) else { continue };
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

/// About how much memory a record takes.
pub(super) fn size(record: &Record) -> usize {
    let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers = record
        .headers
        .iter()
        .map(|header| header.name.len() + bytes(&header.value) + size_of::<Header>());
    size_of::<Record>() + bytes(&record.key) + bytes(&record.value) + headers.sum::<usize>()
}
