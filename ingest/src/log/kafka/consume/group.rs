//! The consumer group, from the first poll to the close: one membership after the other. A thread
//! queries the topic's offsets and replaces a membership that is stalled or unusable.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rdkafka::error::KafkaResult;
use shared::timestamp::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::{
    super::{positions::Positions, thread::off_runtime},
    member::Member,
    observer::OffsetObserver,
    reader::TopicSource,
};
use crate::log::{LogError, Offsets, Partition, Position, Record};

/// The shortest time between two joins.
const JOIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long a membership may take to leave before its successor joins.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Group {
    inner: Arc<Inner>,
    /// One commit at a time, so that the last one is the furthest.
    committing: AsyncMutex<()>,
}

struct Inner {
    source: TopicSource,
    positions: Arc<Positions>,
    /// Notified when records arrive or the membership changes.
    arrived: Arc<Notify>,
    rebalances: Arc<AtomicU64>,
    member: Mutex<Option<Arc<Member>>>,
    lifecycle: Mutex<Lifecycle>,
    closing: Condvar,
}

#[derive(Default)]
struct Lifecycle {
    watching: Option<JoinHandle<()>>,
    closed: bool,
}

impl Group {
    /// Joins nothing before the first poll.
    pub(crate) fn new(source: TopicSource, positions: Arc<Positions>) -> Self {
        let inner = Inner {
            source,
            positions,
            arrived: Arc::default(),
            rebalances: Arc::default(),
            member: Mutex::default(),
            lifecycle: Mutex::default(),
            closing: Condvar::new(),
        };
        Self { inner: Arc::new(inner), committing: AsyncMutex::default() }
    }

    /// Waits for the next records, at least one. Dropping the future loses no record.
    pub(crate) async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        loop {
            let arrived = self.inner.arrived.notified();
            self.start()?;
            let member = self.inner.member.lock().clone();
            let (records, ends) =
                member.map(|member| member.assignment.take(bytes)).unwrap_or_default();
            if !records.is_empty() {
                self.inner.positions.extend_to(&ends);
                // Another caller may wait for the records that are left.
                self.inner.arrived.notify_one();
                return Ok(records);
            }
            arrived.await;
        }
    }

    /// Commits `offsets` of the partitions assigned to this process. The records of other
    /// partitions are delivered again, to their present owners.
    pub(crate) async fn commit(&self, offsets: Offsets) -> Result<(), LogError> {
        let _committing = self.committing.lock().await;
        let Some(member) = self.inner.member.lock().clone() else { return Ok(()) };
        let inner = Arc::clone(&self.inner);
        let commit = off_runtime("kafka-commit", move || {
            inner.positions.committed(&member.commit(&inner.source.topic, &offsets)?);
            Ok(())
        });
        Ok(commit.await?)
    }

    pub(crate) fn held(&self) -> BTreeSet<Partition> {
        let member = self.inner.member.lock().clone();
        member.map(|member| member.assignment.held()).unwrap_or_default()
    }

    pub(crate) fn oldest_waiting(&self) -> Option<Timestamp> {
        self.inner.member.lock().clone()?.assignment.oldest_waiting()
    }

    pub(crate) fn rebalances(&self) -> u64 {
        self.inner.rebalances.load(Ordering::Relaxed)
    }

    /// Starts the watching thread, unless it runs already.
    fn start(&self) -> Result<(), LogError> {
        let mut lifecycle = self.inner.lifecycle.lock();
        if lifecycle.closed {
            return Err(LogError::Busy("the log is closed".to_owned()));
        }
        if lifecycle.watching.is_none() {
            let inner = Arc::clone(&self.inner);
            let watching =
                thread::Builder::new().name("kafka-watch".to_owned()).spawn(move || inner.watch());
            lifecycle.watching = Some(watching.map_err(|error| LogError::Busy(error.to_string()))?);
        }
        Ok(())
    }

    /// Starts to leave the group; the returned thread ends when the group is left.
    pub(crate) fn close(&self) -> Option<JoinHandle<()>> {
        let mut lifecycle = self.inner.lifecycle.lock();
        lifecycle.closed = true;
        self.inner.closing.notify_all();
        self.inner.arrived.notify_waiters();
        if let Some(member) = self.inner.member.lock().take() {
            member.assignment.end();
        }
        lifecycle.watching.take()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    /// Keeps one membership alive until the close, and queries the offsets at intervals.
    fn watch(&self) {
        let mut current: Option<(Arc<Member>, JoinHandle<()>)> = None;
        let mut joined = None::<Instant>;
        let mut observer = OffsetObserver::default();
        loop {
            if current.is_none() && joined.is_none_or(|joined| joined.elapsed() >= JOIN_INTERVAL) {
                joined = Some(Instant::now());
                current = self.join();
            }
            if current.as_ref().is_some_and(|(member, _)| self.is_lost(member, &mut observer)) {
                tracing::warn!(
                    "the Kafka consumer makes no progress or is unusable; a new one replaces it"
                );
                *self.member.lock() = None;
                self.leave(current.take());
            }
            if self.is_closed_within(self.source.options.offsets_interval) {
                self.leave(current);
                return;
            }
        }
    }

    /// Whether `member` is stalled or unusable. It never counts as stalled while the brokers do not
    /// reply: a new member could not join either.
    fn is_lost(&self, member: &Member, observer: &mut OffsetObserver) -> bool {
        if !self.observe(member, observer) {
            member.assignment.excuse();
            return member.is_given_up();
        }
        let readable = observer.readable(self.positions.get());
        member.assignment.is_stalled(&readable, self.source.options.stall_limit)
            || member.is_given_up()
    }

    fn join(&self) -> Option<(Arc<Member>, JoinHandle<()>)> {
        let TopicSource { options, clock, .. } = &self.source;
        match Member::join(options, *clock, &self.arrived, &self.rebalances) {
            Ok((member, polling)) => {
                let member = Arc::new(member);
                *self.member.lock() = Some(Arc::clone(&member));
                // Waiting polls continue with the records of this member.
                self.arrived.notify_waiters();
                Some((member, polling))
            }
            Err(error) => {
                tracing::warn!(%error, "the consumer group could not be joined; retrying");
                None
            }
        }
    }

    /// Ends a membership and waits for it to leave, at most for [`LEAVE_TIMEOUT`].
    fn leave(&self, current: Option<(Arc<Member>, JoinHandle<()>)>) {
        let Some((member, polling)) = current else { return };
        member.assignment.end();
        let begun = Instant::now();
        while !polling.is_finished() && begun.elapsed() < LEAVE_TIMEOUT {
            thread::park_timeout(Duration::from_millis(10));
        }
        if !polling.is_finished() {
            tracing::warn!("a Kafka consumer did not stop in time and is abandoned");
        }
    }

    /// Queries the offsets; returns whether the brokers replied. A partition that has not moved
    /// since the last query, although its end is past its committed offset, may end with
    /// transaction markers, which are not records.
    fn observe(&self, member: &Member, observer: &mut OffsetObserver) -> bool {
        let before = self.positions.get();
        match observer.query(&self.source) {
            Ok(found) => self.positions.merge(&before, &found),
            Err(error) => {
                tracing::debug!(%error, "the offsets of the topic could not be queried");
                return false;
            }
        }
        let idle = member.assignment.idle(&self.positions.get());
        for (partition, at) in observer.unmoved(idle) {
            match self.skip_markers(member, partition, at) {
                Ok(committed) => {
                    observer.mark_read(partition, at);
                    self.positions.committed(&committed);
                }
                Err(error) => {
                    tracing::debug!(%error, partition, "the end of a partition could not be read")
                }
            }
        }
        true
    }

    /// Commits the end of `partition` if there is no record after its committed offset.
    fn skip_markers(
        &self,
        member: &Member,
        partition: Partition,
        at: Position,
    ) -> KafkaResult<Offsets> {
        let ends = Offsets::from([(partition, at.end)]);
        let mut reader =
            self.source.clone().read_between([(partition, at.committed)].into(), ends.clone())?;
        match reader.read(1)?.is_empty() {
            true => member.commit_ends(&self.source.topic, &ends),
            false => Ok(Offsets::new()),
        }
    }

    /// Waits for the close, at most for `limit`.
    fn is_closed_within(&self, limit: Duration) -> bool {
        let mut lifecycle = self.lifecycle.lock();
        self.closing.wait_while_for(&mut lifecycle, |lifecycle| !lifecycle.closed, limit);
        lifecycle.closed
    }
}

#[cfg(test)]
mod tests;
