//! Whether the consumer accepted the event of a record.

use std::collections::BTreeSet;

use anyhow::Context;
use ingest::log::{Log, Partition, Record};
use shared::{
    event::{RejectionCode, SessionEvent},
    timestamp::Timestamp,
};

/// Judges records as the consumer did.
pub(super) struct Judge<'a> {
    log: &'a Log,
    tolerance_ms: i64,
    /// The records that were refused as `future`, read when the first unstamped record is met.
    refused: Option<BTreeSet<(Partition, i64)>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(log: &'a Log, tolerance_ms: i64) -> Self {
        Self { log, tolerance_ms, refused: None }
    }

    /// Returns `event`, which is that of `record`, or the code with which the consumer refused it.
    ///
    /// The consumer judged an unstamped record by its clock at that time, which only its dead
    /// letters still tell.
    pub(super) async fn judge(
        &mut self,
        record: &Record,
        event: SessionEvent,
    ) -> anyhow::Result<Result<SessionEvent, RejectionCode>> {
        if !record.unstamped {
            return Ok(record.judge(&event, self.tolerance_ms).map(|()| event));
        }
        let refused = match self.refused.take() {
            Some(refused) => refused,
            None => {
                self.log.refused_as_future().await.context("the dead letters cannot be read")?
            }
        };
        let was_refused = refused.contains(&(record.partition, record.offset));
        self.refused = Some(refused);
        if was_refused {
            return Ok(Err(RejectionCode::Future));
        }
        Ok(event.judge(record.append_time, Timestamp::MAX).map(|()| event))
    }
}
