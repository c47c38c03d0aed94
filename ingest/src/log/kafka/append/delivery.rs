//! Counts the delivery reports of one append, without an allocation for each record.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use rdkafka::{
    error::{KafkaError, KafkaResult},
    message::Message,
    producer::{DeliveryResult, ProducerContext},
};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::{super::context::Context, times::AppendTimes};
use crate::log::Partition;

/// The outstanding delivery reports of one append. They hold the append's permit until the last
/// report, even if the caller has dropped its future.
pub(crate) struct Deliveries {
    outstanding: AtomicUsize,
    /// The number of outstanding reports of all appends.
    queued: Arc<AtomicUsize>,
    failed: OnceLock<KafkaError>,
    place: OnceLock<(Partition, i64)>,
    times: AppendTimes,
    done: Notify,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Deliveries {
    pub(super) fn new(
        records: usize,
        queued: &Arc<AtomicUsize>,
        permit: OwnedSemaphorePermit,
        times: AppendTimes,
    ) -> Arc<Self> {
        queued.fetch_add(records, Ordering::Relaxed);
        Arc::new(Self {
            outstanding: AtomicUsize::new(records),
            queued: Arc::clone(queued),
            failed: OnceLock::new(),
            place: OnceLock::new(),
            times,
            done: Notify::new(),
            permit: Mutex::new(Some(permit)),
        })
    }

    /// Reports that the driver did not accept `records` of them.
    pub(super) fn refuse(&self, records: usize, cause: KafkaError) {
        self.fail(cause);
        self.report(records);
    }

    /// Waits for every report; returns the partition and offset of the first record reported.
    pub(super) async fn done(&self) -> KafkaResult<Option<(Partition, i64)>> {
        while self.outstanding.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        match self.failed.get() {
            Some(cause) => Err(cause.clone()),
            None => Ok(self.place.get().copied()),
        }
    }

    /// The append times that were reported.
    pub(super) fn times(&self) -> &AppendTimes {
        &self.times
    }

    fn fail(&self, cause: KafkaError) {
        // The first failure is the one reported.
        drop(self.failed.set(cause));
    }

    fn report(&self, records: usize) {
        self.queued.fetch_sub(records, Ordering::Relaxed);
        if self.outstanding.fetch_sub(records, Ordering::AcqRel) == records {
            drop(self.permit.lock().take());
            self.done.notify_one();
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, outcome: &DeliveryResult<'_>, deliveries: Arc<Deliveries>) {
        match outcome {
            Ok(record) => {
                self.health().up();
                deliveries.times.report(record.partition(), record.timestamp());
                let _ = deliveries.place.set((record.partition(), record.offset()));
            }
            Err((cause, _)) => deliveries.fail(cause.clone()),
        }
        deliveries.report(1);
    }
}
