//! What the delivery reports of one append tell about the brokers' clock.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use rdkafka::Timestamp as KafkaTimestamp;
use shared::{
    clock::Clock,
    skew::{Interval, Skew},
    timestamp::Timestamp,
};

use super::outgoing::Outgoing;
use crate::log::{LATEST_TS_LIMIT, LogError, Partition};

/// The append times of the records of one append, as they are reported.
pub(super) struct AppendTimes {
    skew: Arc<Skew<Partition>>,
    sent: Timestamp,
    /// The earliest append time with which the latest accepted `ts` of every record counts in full.
    earliest: Option<Timestamp>,
    came_too_early: AtomicBool,
    /// One bit for each partition that was measured, by its number modulo 64.
    measured: AtomicU64,
}

impl AppendTimes {
    /// Of records whose append times are only measured.
    pub(super) fn new(skew: &Arc<Skew<Partition>>) -> Self {
        Self {
            skew: Arc::clone(skew),
            sent: Clock::machine().now(),
            earliest: None,
            came_too_early: AtomicBool::new(false),
            measured: AtomicU64::new(0),
        }
    }

    /// Of `records` whose events no consumer may refuse as `future`. A record that has its append
    /// time in a header is judged by that one.
    pub(super) fn promising(skew: &Arc<Skew<Partition>>, records: &[Outgoing]) -> Self {
        let promised = records.iter().filter(|record| record.append_time.is_none());
        let latest = promised.filter_map(|record| record.latest_ts).max();
        Self { earliest: latest.map(|latest| latest - LATEST_TS_LIMIT), ..Self::new(skew) }
    }

    /// Adds the report of one record. Only brokers that record append times report one.
    pub(super) fn report(&self, partition: Partition, stamp: KafkaTimestamp) {
        let KafkaTimestamp::LogAppendTime(millis) = stamp else { return };
        let Some(appended) = Timestamp::from_millis(millis) else { return };
        if self.earliest.is_some_and(|earliest| appended < earliest) {
            self.came_too_early.store(true, Ordering::Relaxed);
        }
        let bit = 1 << (partition & 63);
        if self.measured.load(Ordering::Relaxed) & bit == 0
            && self.measured.fetch_or(bit, Ordering::Relaxed) & bit == 0
            && let Some(interval) = Interval::of(appended, self.sent, Clock::machine().now())
        {
            self.skew.measured(partition, interval);
        }
    }

    /// Fails if a consumer might refuse an event of these records, by the append times reported.
    pub(super) fn check(&self) -> Result<(), LogError> {
        match self.came_too_early.load(Ordering::Relaxed) {
            true => Err(too_far_ahead()),
            false => Ok(()),
        }
    }
}

/// The error of an endpoint that accepts events too far after the append time.
pub(crate) fn too_far_ahead() -> LogError {
    LogError::Busy(
        "this endpoint accepts events more than an hour after their append time, which consumers might reject as \
         `future`; synchronise this machine's clock with the brokers', or lower --future-tolerance"
            .to_owned(),
    )
}
