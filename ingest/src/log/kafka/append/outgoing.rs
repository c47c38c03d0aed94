//! A record on its way to the driver, with the headers of our own.

use bytes::Bytes;
use rdkafka::message::{self, OwnedHeaders};
use shared::timestamp::Timestamp;

use super::super::record;
use crate::log::{Header, NewRecord};

/// The bytes that a record counts beside its own.
const OVERHEAD: usize = 256;
/// The bytes that a header of our own counts.
const TIME: usize = 108;

/// A record to hand to the driver. The two times become headers of our own.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
    pub(crate) append_time: Option<Timestamp>,
    pub(crate) latest_ts: Option<Timestamp>,
}

/// The text of the last time that became a header: the records of one append have the same.
#[derive(Default)]
pub(crate) struct TimeText {
    of: Option<Timestamp>,
    text: [u8; 24],
    length: usize,
}

impl TimeText {
    fn of(&mut self, time: Timestamp) -> &[u8] {
        if self.of != Some(time) {
            self.length = time.rfc3339(&mut self.text).len();
            self.of = Some(time);
        }
        &self.text[..self.length]
    }
}

impl From<NewRecord> for Outgoing {
    fn from(NewRecord { key, value, headers, append_time, latest_ts }: NewRecord) -> Self {
        Self { key, value: Some(value), headers, append_time, latest_ts }
    }
}

impl Outgoing {
    /// The bytes that it counts while it is in flight.
    pub(super) fn cost(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers =
            self.headers.iter().map(|header| header.name.len() + bytes(&header.value) + 64);
        let times = TIME * self.times();
        bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>() + times + OVERHEAD
    }

    /// The headers for the driver. Each of our own is written without an allocation, because every
    /// record of the endpoint has one.
    pub(crate) fn owned_headers(&self, text: &mut TimeText) -> Option<OwnedHeaders> {
        let count = self.headers.len() + self.times();
        if count == 0 {
            return None;
        }
        let mut headers = OwnedHeaders::new_with_capacity(count);
        for Header { name, value } in &self.headers {
            headers = headers.insert(message::Header { key: name, value: value.as_deref() });
        }
        let times = [(record::APPEND_TIME, self.append_time), (record::LATEST_TS, self.latest_ts)];
        for (key, time) in times {
            if let Some(time) = time {
                headers = headers.insert(message::Header { key, value: Some(text.of(time)) });
            }
        }
        Some(headers)
    }

    /// The number of headers of our own.
    fn times(&self) -> usize {
        usize::from(self.append_time.is_some()) + usize::from(self.latest_ts.is_some())
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;

    #[test]
    fn records_with_different_times_have_different_headers() {
        let mut text = TimeText::default();
        let times =
            ["2026-01-02T03:04:05.006Z", "2026-01-02T03:04:05.006Z", "2026-01-02T03:04:06Z"];
        for time in times {
            let record = Outgoing { latest_ts: Timestamp::parse(time), ..Outgoing::default() };
            let headers = record.owned_headers(&mut text).unwrap();
            assert_eq!(headers.get_as::<str>(0).unwrap().value, Some(time));
        }
    }
}
