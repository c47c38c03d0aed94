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
        let times = TIME * self.times().count();
        bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>() + times + OVERHEAD
    }

    /// The headers for the driver. Each of our own is written without an allocation, because every
    /// record of the endpoint has one.
    pub(crate) fn owned_headers(&self) -> Option<OwnedHeaders> {
        let count = self.headers.len() + self.times().count();
        if count == 0 {
            return None;
        }
        let mut headers = OwnedHeaders::new_with_capacity(count);
        for Header { name, value } in &self.headers {
            headers = headers.insert(message::Header { key: name, value: value.as_deref() });
        }
        for (key, time) in self.times() {
            let mut text = [0; 24];
            let value = Some(time.rfc3339(&mut text));
            headers = headers.insert(message::Header { key, value });
        }
        Some(headers)
    }

    fn times(&self) -> impl Iterator<Item = (&'static str, Timestamp)> {
        let times = [(record::APPEND_TIME, self.append_time), (record::LATEST_TS, self.latest_ts)];
        times.into_iter().filter_map(|(name, time)| Some((name, time?)))
    }
}
