//! Our part in the consumer group, from the first poll to the close: one membership after the other, watched by a thread that
//! looks where the partitions stand and replaces a membership that is stalled or given up.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::error::{KafkaError, KafkaResult};
use shared::timestamp::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use self::sight::Sight;
use super::{
    member::Member,
    positions::Positions,
    producer::busy,
    reader::Reading,
    thread::{lock, off_runtime},
};
use crate::log::{LogError, Offsets, Partition, Position, Record};

/// A membership is not replaced again before this time.
const BETWEEN_MEMBERS: Duration = Duration::from_secs(5);
/// How long a membership that is replaced may take to leave, before another one joins all the same.
const LEAVING: Duration = Duration::from_secs(10);

/// Our part in the group.
pub(super) struct Group {
    inner: Arc<Inner>,
    /// One commit at a time, so that the last is the furthest.
    committing: AsyncMutex<()>,
}

struct Inner {
    reading: Reading,
    positions: Arc<Positions>,
    arrived: Arc<Notify>,
    rebalances: Arc<AtomicU64>,
    member: Mutex<Option<Arc<Member>>>,
    stage: Mutex<Stage>,
    staged: Condvar,
}

/// How far it has come.
#[derive(Default)]
struct Stage {
    watching: Option<JoinHandle<()>>,
    closed: bool,
}

impl Group {
    /// Nothing begins before the first poll.
    pub(super) fn new(reading: Reading, positions: Arc<Positions>) -> Self {
        let inner = Inner {
            reading,
            positions,
            arrived: Arc::default(),
            rebalances: Arc::default(),
            member: Mutex::default(),
            stage: Mutex::default(),
            staged: Condvar::new(),
        };
        Self { inner: Arc::new(inner), committing: AsyncMutex::default() }
    }

    /// The next records, at least one; waits for them. Nothing is lost when it is given up.
    pub(super) async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        loop {
            let arrived = self.inner.arrived.notified();
            self.begin()?;
            let member = lock(&self.inner.member).clone();
            let (records, ends) =
                member.map(|member| member.assignment.take(bytes)).unwrap_or_default();
            if !records.is_empty() {
                self.inner.positions.reach(&ends);
                // Another caller may wait for what is left.
                self.inner.arrived.notify_one();
                return Ok(records);
            }
            arrived.await;
        }
    }

    /// Commits what of `offsets` is ours to commit. The rest comes again, to whoever has it now.
    pub(super) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        let _committing = self.committing.lock().await;
        let Some(member) = lock(&self.inner.member).clone() else { return Ok(()) };
        let inner = Arc::clone(&self.inner);
        let outcome = off_runtime("kafka-commit", move || {
            let committed = member.commit(&inner.reading.topic, &offsets)?;
            inner.positions.committed(&committed);
            Ok::<_, KafkaError>(())
        });
        outcome.await?.map_err(|cause| busy(&cause))
    }

    /// The partitions that are ours now.
    pub(super) fn held(&self) -> BTreeSet<Partition> {
        let member = lock(&self.inner.member).clone();
        member.map(|member| member.assignment.held()).unwrap_or_default()
    }

    /// When the oldest record was appended that waits to be polled.
    pub(super) fn oldest_waiting(&self) -> Option<Timestamp> {
        lock(&self.inner.member).clone()?.assignment.oldest_waiting()
    }

    pub(super) fn rebalances(&self) -> u64 {
        self.inner.rebalances.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Result<(), LogError> {
        let mut stage = lock(&self.inner.stage);
        if stage.closed {
            return Err(LogError::Busy("it is closed".to_owned()));
        }
        if stage.watching.is_none() {
            let inner = Arc::clone(&self.inner);
            let watching =
                thread::Builder::new().name("kafka-watch".to_owned()).spawn(move || inner.watch());
            stage.watching = Some(watching.map_err(|error| LogError::Busy(error.to_string()))?);
        }
        Ok(())
    }

    /// Leaves the group; the thread that is answered ends when it has left.
    pub(super) fn close(&self) -> Option<JoinHandle<()>> {
        let mut stage = lock(&self.inner.stage);
        stage.closed = true;
        self.inner.staged.notify_all();
        self.inner.arrived.notify_waiters();
        if let Some(member) = lock(&self.inner.member).take() {
            member.assignment.end();
        }
        stage.watching.take()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    /// Keeps one membership alive until the close, and looks where the partitions stand.
    fn watch(&self) {
        let mut current: Option<(Arc<Member>, JoinHandle<()>)> = None;
        let mut joined = None::<Instant>;
        let mut sight = Sight::default();
        loop {
            if current.is_none() && joined.is_none_or(|joined| joined.elapsed() >= BETWEEN_MEMBERS)
            {
                joined = Some(Instant::now());
                current = self.join();
            }
            let options = &self.reading.options;
            // While the brokers cannot be asked there is no telling, and another member could not join.
            let mut lost = |member: &Member| {
                let stalled = match self.look(member, &mut sight) {
                    true => {
                        let readable = sight.as_far_as_readable(self.positions.get());
                        member.assignment.is_stalled(&readable, options.stall_limit)
                    }
                    false => {
                        member.assignment.excuse();
                        false
                    }
                };
                stalled || member.is_given_up()
            };
            if current.as_ref().is_some_and(|(member, _)| lost(member)) {
                tracing::warn!(
                    "the consumer makes no progress, or the driver has given it up: it is made anew"
                );
                *lock(&self.member) = None;
                self.leave(current.take());
            }
            if self.is_closed_after(options.look_interval) {
                self.leave(current);
                return;
            }
        }
    }

    fn join(&self) -> Option<(Arc<Member>, JoinHandle<()>)> {
        let Reading { options, clock, .. } = &self.reading;
        match Member::join(options, *clock, &self.arrived, &self.rebalances) {
            Ok((member, polling)) => {
                let member = Arc::new(member);
                *lock(&self.member) = Some(Arc::clone(&member));
                // Whoever waits for records waits for those of this one from now on.
                self.arrived.notify_waiters();
                Some((member, polling))
            }
            Err(error) => {
                tracing::warn!(%error, "the group cannot be joined; it is tried again");
                None
            }
        }
    }

    /// Ends a membership, and waits a while for its leaving.
    fn leave(&self, current: Option<(Arc<Member>, JoinHandle<()>)>) {
        let Some((member, polling)) = current else { return };
        member.assignment.end();
        let begun = Instant::now();
        while !polling.is_finished() && begun.elapsed() < LEAVING {
            thread::park_timeout(Duration::from_millis(10));
        }
        if !polling.is_finished() {
            tracing::warn!("a consumer does not come to its end and is left alone");
        }
    }

    /// Looks where the partitions stand. What did not move since the last look, though there is more than was committed of it,
    /// may end with the mark of a transaction, which is no record. Answers whether it could look.
    fn look(&self, member: &Member, sight: &mut Sight) -> bool {
        let before = self.positions.get();
        match sight.found(&self.reading) {
            Ok(found) => self.positions.found(&before, &found),
            Err(error) => {
                tracing::debug!(%error, "where the log stands cannot be looked up");
                return false;
            }
        }
        let idle = member.assignment.idle(&self.positions.get());
        for (partition, at) in sight.unmoved(idle) {
            match self.pass(member, partition, at) {
                Ok(passed) => {
                    sight.was_read(partition, at);
                    self.positions.committed(&passed);
                }
                Err(error) => {
                    tracing::debug!(%error, partition, "what lies behind the last record cannot be read")
                }
            }
        }
        true
    }

    /// Reads what lies between what was committed of `partition` and its end, and commits that where it is no record.
    fn pass(&self, member: &Member, partition: Partition, at: Position) -> KafkaResult<Offsets> {
        let ends = Offsets::from([(partition, at.end)]);
        let mut reader =
            self.reading.clone().between([(partition, at.committed)].into(), ends.clone())?;
        match reader.read(1)?.is_empty() {
            true => member.pass(&self.reading.topic, &ends),
            false => Ok(Offsets::new()),
        }
    }

    /// Waits for the close, at most for `limit`.
    fn is_closed_after(&self, limit: Duration) -> bool {
        let waited =
            self.staged.wait_timeout_while(lock(&self.stage), limit, |stage| !stage.closed);
        waited.unwrap_or_else(std::sync::PoisonError::into_inner).0.closed
    }
}

mod sight;
#[cfg(test)]
mod tests;
