//! The records of the log, and positions in it. Types only: no backend is named here.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    event::{Rejection, RejectionCode, SessionEvent},
    timestamp::{HOUR, Timestamp},
};

use super::topic_id::TopicId;

/// A partition of the log.
pub type Partition = i32;

/// For each partition, the next offset to read.
pub type Offsets = BTreeMap<Partition, i64>;

/// Offsets to commit: every record of `topic` before them is handled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    /// The topic that the records were read from. `None` means the topic that is read at present.
    pub topic: Option<TopicId>,
    /// The next offset of each partition.
    pub offsets: Offsets,
}

/// A record to append. Its key decides its partition, with the partitioner of Kafka's Java clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The user: records with one key keep their order. A record without a key may go to any
    /// partition; the embedded log stores an empty key instead.
    pub key: Option<Bytes>,
    /// One event, as JSON.
    pub value: Bytes,
    /// The headers, usually none. The embedded log does not store them.
    pub headers: Vec<Header>,
    /// The first append time of a record that was a dead letter; `None` means now.
    pub append_time: Option<Timestamp>,
    /// The latest `ts` that the endpoint accepted with this record; `None` without an endpoint.
    pub latest_ts: Option<Timestamp>,
}

/// A record of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: Partition,
    /// The offset in the partition.
    pub offset: i64,
    /// The key as it was appended.
    pub key: Option<Bytes>,
    /// One event as JSON, unless a producer wrote something else. A record without a value deletes
    /// its key in a compacted topic; the consumer skips it.
    pub value: Option<Bytes>,
    /// The headers as they were appended.
    pub headers: Vec<Header>,
    /// The append time, at which its event is judged.
    pub append_time: Timestamp,
    /// The topic that it was read from.
    pub topic: TopicId,
    /// Whether the log did not record an append time, as on a topic with `CreateTime`. The reader's
    /// clock then stands in for it: a producer's own time proves nothing.
    pub unstamped: bool,
    /// The latest `ts` that an endpoint accepted when it appended the record, at most
    /// [`LATEST_TS_LIMIT`] after the append time; `None` if another program appended it. The
    /// embedded log reports [`Timestamp::MAX`], because all of its records were accepted.
    pub latest_ts: Option<Timestamp>,
}

/// How far after the append time the latest accepted `ts` of a record counts, in milliseconds. Any
/// producer can write it, and must not be able to append events of the far future.
pub const LATEST_TS_LIMIT: i64 = HOUR;

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, not necessarily unique.
    pub name: String,
    /// The value.
    pub value: Option<Bytes>,
}

/// The position of a consumer in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The committed offset: the next one to read after a restart.
    pub committed: i64,
    /// The end: the offset of the next record to be appended.
    pub end: i64,
}

impl From<Offsets> for Frontier {
    fn from(offsets: Offsets) -> Self {
        Self { topic: None, offsets }
    }
}

impl Frontier {
    /// The frontier after `records`, which are of one topic.
    #[must_use]
    pub fn after(records: &[Record]) -> Self {
        let offsets = records.iter().map(|record| (record.partition, record.offset + 1));
        Self { topic: records.first().map(|record| record.topic), offsets: offsets.collect() }
    }

    /// Advances to `next`. If that belongs to another topic, the earlier offsets are forgotten:
    /// their topic was deleted.
    pub fn advance(&mut self, next: Self) {
        if next.topic.is_some() && self.topic != next.topic {
            self.offsets.clear();
            self.topic = next.topic;
        }
        self.offsets.extend(next.offsets);
    }
}

impl NewRecord {
    /// A record without headers, appended now.
    #[must_use]
    pub fn new(key: Bytes, value: Bytes) -> Self {
        Self { key: Some(key), value, ..Self::default() }
    }
}

impl Record {
    /// Parses its `value`: by the rules for producers or, if an endpoint accepted it, without
    /// judging its ids and country again.
    pub fn parse(&self, value: &[u8]) -> Result<SessionEvent, Rejection> {
        let json = after_schema_id(value).unwrap_or(value);
        match self.latest_ts {
            Some(_) => SessionEvent::parse_accepted(json),
            None => SessionEvent::parse(json),
        }
    }

    /// Whether the JSON of its value follows the five bytes of a schema registry.
    #[must_use]
    pub fn has_schema_id(&self) -> bool {
        self.value.as_deref().is_some_and(|value| after_schema_id(value).is_some())
    }

    /// Judges its event for a consumer with this tolerance: by the append time, and never stricter
    /// than the endpoint that accepted the event.
    ///
    /// # Errors
    /// [`RejectionCode::Future`] or [`RejectionCode::Expired`].
    pub fn judge(&self, event: &SessionEvent, tolerance_ms: i64) -> Result<(), RejectionCode> {
        let by_append_time = self.append_time + tolerance_ms;
        let latest = self.latest_ts.map_or(by_append_time, |latest| latest.max(by_append_time));
        event.judge(self.append_time, latest)
    }

    /// The part of `latest_ts` that counts for a record with this append time.
    #[must_use]
    pub fn limit_latest_ts(latest_ts: Timestamp, append_time: Timestamp) -> Timestamp {
        latest_ts.min(append_time + LATEST_TS_LIMIT)
    }
}

/// The JSON object after the five bytes that serialisers with a schema registry write: 0 and an id.
/// Without a JSON object after them, the value is of another format, such as Avro.
fn after_schema_id(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, _, _, _, _, json @ ..] if json.trim_ascii_start().starts_with(b"{") => Some(json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::timestamp::{MINUTE, RETENTION};

    use super::*;

    const TOLERANCE: i64 = 5 * MINUTE;

    /// Judges an event this long after the append time, in milliseconds.
    fn judged(record: &Record, after: i64) -> Result<(), RejectionCode> {
        let ts = record.append_time + after;
        let event = json!({ "user_id": "u", "session_id": "s", "event": "end", "ts": ts });
        record.judge(&SessionEvent::parse(event.to_string().as_bytes()).unwrap(), TOLERANCE)
    }

    fn appended() -> Record {
        Record {
            append_time: Timestamp::parse("2026-06-01T12:00:00Z").unwrap(),
            ..Record::default()
        }
    }

    #[test]
    fn without_an_endpoint_the_append_time_and_the_consumer_s_tolerance_decide() {
        let record = appended();
        assert_eq!(judged(&record, TOLERANCE), Ok(()));
        assert_eq!(judged(&record, TOLERANCE + 1), Err(RejectionCode::Future));
        assert_eq!(judged(&record, -RETENTION), Ok(()));
        assert_eq!(judged(&record, -RETENTION - 1), Err(RejectionCode::Expired));
    }

    #[test]
    fn what_an_endpoint_accepted_is_never_too_far_in_the_future() {
        let later =
            |after: i64| Record { latest_ts: Some(appended().append_time + after), ..appended() };
        let record = later(TOLERANCE + MINUTE);
        assert_eq!(judged(&record, TOLERANCE + MINUTE), Ok(()));
        assert_eq!(judged(&record, TOLERANCE + MINUTE + 1), Err(RejectionCode::Future));
        // A slow endpoint makes no consumer stricter.
        assert_eq!(judged(&later(-MINUTE), TOLERANCE), Ok(()));
    }

    #[test]
    fn no_producer_smuggles_the_far_future_in() {
        let record = appended();
        let limit = Record::limit_latest_ts(Timestamp::MAX, record.append_time);
        assert_eq!(limit - record.append_time, LATEST_TS_LIMIT);
        let record = Record { latest_ts: Some(limit), ..record };
        assert_eq!(judged(&record, LATEST_TS_LIMIT), Ok(()));
        assert_eq!(judged(&record, LATEST_TS_LIMIT + 1), Err(RejectionCode::Future));
    }
}
