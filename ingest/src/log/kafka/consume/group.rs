//! The consumer group, from the first poll to the close: one membership after the other.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};
use shared::{telemetry::Repeats, timestamp::Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    super::{positions::Positions, thread::off_runtime},
    member::Counters,
    reader::TopicSource,
    watch::Watch,
};
use crate::log::{Frontier, LogError, Partition, Record};

pub(crate) struct Group {
    watch: Arc<Watch>,
    /// One commit at a time, so that the last one is the furthest.
    committing: AsyncMutex<()>,
}

impl Group {
    /// Joins nothing before the first poll.
    pub(crate) fn new(source: TopicSource, positions: Arc<Positions>) -> Self {
        let watch = Watch {
            source,
            positions,
            arrived: Arc::default(),
            counters: Counters::default(),
            member: Mutex::default(),
            lifecycle: Mutex::default(),
            closing: Condvar::new(),
            repeats: Repeats::default(),
        };
        Self { watch: Arc::new(watch), committing: AsyncMutex::default() }
    }

    /// Waits for the next records, at least one. Dropping the future loses no record.
    pub(crate) async fn poll(&self, bytes: usize) -> Result<Vec<Record>, LogError> {
        loop {
            let arrived = self.watch.arrived.notified();
            self.start()?;
            let member = self.watch.member.lock().clone();
            let (records, ends) =
                member.map(|member| member.assignment.take(bytes)).unwrap_or_default();
            if !records.is_empty() {
                let topic = records.first().map(|record| record.topic).unwrap_or_default();
                self.watch.positions.extend_to(topic, &ends);
                // Another caller may wait for the records that are left.
                self.watch.arrived.notify_one();
                return Ok(records);
            }
            arrived.await;
        }
    }

    /// Commits a frontier of the partitions assigned to this process. The records of other
    /// partitions are delivered again, to their present owners. A frontier of a topic that was
    /// deleted is dropped.
    pub(crate) async fn commit(&self, frontier: Frontier) -> Result<(), LogError> {
        let _committing = self.committing.lock().await;
        let Some(member) = self.watch.member.lock().clone() else { return Ok(()) };
        if frontier.topic.is_some_and(|topic| topic != member.topic) {
            return Ok(());
        }
        let watch = Arc::clone(&self.watch);
        let commit = off_runtime("kafka-commit", move || {
            let committed = member.commit(&watch.source.topic, &frontier.offsets)?;
            watch.positions.committed(member.topic, &committed);
            Ok(())
        });
        Ok(commit.await?)
    }

    pub(crate) fn held(&self) -> BTreeSet<Partition> {
        let member = self.watch.member.lock().clone();
        member.map(|member| member.assignment.held()).unwrap_or_default()
    }

    pub(crate) fn oldest_waiting(&self) -> Option<Timestamp> {
        self.watch.member.lock().clone()?.assignment.oldest_waiting()
    }

    pub(crate) fn rebalances(&self) -> u64 {
        self.watch.counters.rebalances.load(Ordering::Relaxed)
    }

    /// The number of records that retention removed before they could be read, since the last call.
    pub(crate) fn take_removed(&self) -> u64 {
        self.watch.counters.removed.swap(0, Ordering::Relaxed)
    }

    /// Starts the watching thread, unless it runs already.
    fn start(&self) -> Result<(), LogError> {
        let mut lifecycle = self.watch.lifecycle.lock();
        if lifecycle.closed {
            return Err(LogError::Busy("the log is closed".to_owned()));
        }
        if lifecycle.watching.is_none() {
            let watch = Arc::clone(&self.watch);
            let watching =
                thread::Builder::new().name("kafka-watch".to_owned()).spawn(move || watch.run());
            lifecycle.watching = Some(watching.map_err(|error| LogError::Busy(error.to_string()))?);
        }
        Ok(())
    }

    /// Starts to leave the group; the returned thread ends when the group is left.
    pub(crate) fn close(&self) -> Option<JoinHandle<()>> {
        let mut lifecycle = self.watch.lifecycle.lock();
        lifecycle.closed = true;
        self.watch.closing.notify_all();
        self.watch.arrived.notify_waiters();
        if let Some(member) = self.watch.member.lock().take() {
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

#[cfg(test)]
mod tests;
