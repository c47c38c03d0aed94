//! What became of records that were given to the driver together: counted down as their reports come, without anything
//! allocated for each.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use rdkafka::{
    error::KafkaError,
    message::Message,
    producer::{DeliveryResult, ProducerContext},
};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::{context::Context, thread::lock};
use crate::log::Partition;

/// The records of one append that are not reported yet, and what became of the others. It holds their share of the room until
/// the last is reported, whoever still waits.
pub(super) struct Deliveries {
    left: AtomicUsize,
    /// How many records of all appends are not reported yet.
    queued: Arc<AtomicUsize>,
    failed: OnceLock<KafkaError>,
    place: OnceLock<(Partition, i64)>,
    done: Notify,
    room: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Deliveries {
    /// Of `records` records.
    pub(super) fn of(
        records: usize,
        queued: &Arc<AtomicUsize>,
        room: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        queued.fetch_add(records, Ordering::Relaxed);
        Arc::new(Self {
            left: AtomicUsize::new(records),
            queued: Arc::clone(queued),
            failed: OnceLock::new(),
            place: OnceLock::new(),
            done: Notify::new(),
            room: Mutex::new(Some(room)),
        })
    }

    /// `records` of them were never given to the driver.
    pub(super) fn refuse(&self, records: usize, cause: KafkaError) {
        self.fail(cause);
        self.report(records);
    }

    /// Waits until each is reported, and answers where the first of them lies.
    pub(super) async fn done(&self) -> Result<Option<(Partition, i64)>, KafkaError> {
        while self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        match self.failed.get() {
            Some(cause) => Err(cause.clone()),
            None => Ok(self.place.get().copied()),
        }
    }

    fn fail(&self, cause: KafkaError) {
        // The first is the one that is told.
        drop(self.failed.set(cause));
    }

    fn report(&self, records: usize) {
        self.queued.fetch_sub(records, Ordering::Relaxed);
        if self.left.fetch_sub(records, Ordering::AcqRel) == records {
            drop(lock(&self.room).take());
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
                let _ = deliveries.place.set((record.partition(), record.offset()));
            }
            Err((cause, _)) => deliveries.fail(cause.clone()),
        }
        deliveries.report(1);
    }
}
