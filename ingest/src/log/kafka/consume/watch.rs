//! The thread that queries the topic's offsets and keeps one membership alive: it replaces one that
//! is stalled or unusable, and one whose topic was deleted and created again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rdkafka::error::KafkaResult;
use shared::telemetry::Repeats;
use tokio::sync::Notify;

use super::{
    super::{
        begin::{Begin, Cause},
        offsets::{TopicOffsets, is_unknown_topic},
        options::{GroupProtocol, KafkaLogOptions},
        positions::Positions,
    },
    member::{Counters, Member},
    observer::OffsetObserver,
    reader::TopicSource,
    topic::TopicWatch,
};
use crate::log::{Offsets, Partition, Position, TopicId};

/// The shortest time between two joins.
const JOIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long a membership may take to leave before its successor joins.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the thread and the callers of the group share.
pub(super) struct Watch {
    pub(super) source: TopicSource,
    pub(super) positions: Arc<Positions>,
    /// Notified when records arrive or the membership changes.
    pub(super) arrived: Arc<Notify>,
    pub(super) counters: Counters,
    pub(super) member: Mutex<Option<Arc<Member>>>,
    pub(super) lifecycle: Mutex<Lifecycle>,
    pub(super) closing: Condvar,
    pub(super) repeats: Repeats,
}

/// Why a membership ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stalled,
    OtherTopic,
    Astray,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled => "the Kafka consumer makes no progress or is unusable",
            Self::OtherTopic => {
                "the topic was deleted and created again; it is read from its beginning"
            }
            Self::Astray => "committed offsets are not of this topic or are after its end",
        })
    }
}

#[derive(Default)]
pub(super) struct Lifecycle {
    pub(super) watching: Option<JoinHandle<()>>,
    pub(super) closed: bool,
}

impl Watch {
    /// Keeps one membership alive until the close, and queries the offsets at intervals.
    pub(super) fn run(&self) {
        let mut current: Option<(Arc<Member>, JoinHandle<()>)> = None;
        let mut next_join = Instant::now();
        let mut observer = OffsetObserver::default();
        let mut topic = TopicWatch::new(self.positions.known().topic);
        loop {
            if current.is_none()
                && let Some(topic) = topic.present()
                && next_join <= Instant::now()
            {
                next_join = Instant::now() + JOIN_INTERVAL;
                current = self.join(topic);
            }
            let member = current.as_ref().map(|(member, _)| Arc::clone(member));
            if let Some(end) = self.observe(member.as_deref(), &mut observer, &mut topic) {
                if let Some(suppressed) = self.repeats.due(&end.to_string()) {
                    tracing::warn!(
                        topic = self.source.topic,
                        suppressed,
                        "{end}; a new consumer replaces this one"
                    );
                }
                *self.member.lock() = None;
                self.leave(current.take());
                topic.forget_astray();
                if end == End::OtherTopic {
                    next_join = Instant::now() + self.forgotten_after();
                }
            }
            if self.is_closed_within(self.source.options.offsets_interval) {
                self.leave(current);
                return;
            }
        }
    }

    /// Queries the offsets. Returns why the membership must end, if it must. It never counts as
    /// stalled while the brokers do not reply: a new member could not join either.
    fn observe(
        &self,
        member: Option<&Member>,
        observer: &mut OffsetObserver,
        topic: &mut TopicWatch,
    ) -> Option<End> {
        let before = self.positions.known();
        let found = observer.query(&self.source);
        match &found {
            Ok(found) => {
                let replaced = topic.see(found.topic);
                // Otherwise the end of the membership is reported.
                if member.is_none() && replaced.is_some() {
                    tracing::warn!(topic = self.source.topic, "{}", End::OtherTopic);
                }
                self.positions.merge(&before, found);
            }
            Err(error) => {
                tracing::debug!(%error, "the offsets of the topic could not be queried");
                if is_unknown_topic(error) {
                    self.positions.clear();
                }
            }
        }
        let member = member?;
        let Ok(found) = found else {
            member.assignment.excuse();
            return member.is_given_up().then_some(End::Stalled);
        };
        // Without ids, a topic that lost partitions was created again, too.
        let is_shrunk = found.topic.known().is_none()
            && before.partitions.keys().any(|partition| !found.begins.contains_key(partition));
        if topic.present() != Some(member.topic) || is_shrunk {
            return Some(End::OtherTopic);
        }
        if found.topic != member.topic {
            // The next query decides which topic it is.
            return None;
        }
        self.end_of(member, &found, observer, topic)
    }

    /// How long the group remembers the assignment of a member that has left. A static member would
    /// get the same partitions again, although another topic may have more.
    fn forgotten_after(&self) -> Duration {
        let KafkaLogOptions { member, group_protocol, session_timeout, .. } = &self.source.options;
        match (member, group_protocol) {
            (Some(_), GroupProtocol::Classic) => *session_timeout,
            _ => Duration::ZERO,
        }
    }

    /// Why the membership must end, although its topic is still the present one.
    fn end_of(
        &self,
        member: &Member,
        found: &TopicOffsets,
        observer: &mut OffsetObserver,
        topic: &mut TopicWatch,
    ) -> Option<End> {
        member.count_removed(&found.lows);
        self.add_ids(member, &found.begins);
        self.skip_idle_ends(member, observer);
        let readable = observer.readable(self.positions.get());
        if member.assignment.is_stalled(&readable, self.source.options.stall_limit)
            || member.is_given_up()
        {
            return Some(End::Stalled);
        }
        let held = member.assignment.held();
        let is_astray = |(partition, begin): &(&Partition, &Begin)| {
            begin.cause.is_astray() && held.contains(partition)
        };
        let astray = found.begins.iter().filter(is_astray).map(|(partition, _)| *partition);
        topic.see_astray(astray.collect()).then_some(End::Astray)
    }

    /// Commits offsets without an id once more with it, if no record was fetched since: the commit
    /// at the assignment may have failed.
    fn add_ids(&self, member: &Member, begins: &BTreeMap<Partition, Begin>) {
        let without = begins.iter().filter(|(_, begin)| begin.cause == Cause::CommittedWithoutId);
        let offsets = without.map(|(partition, begin)| (*partition, begin.offset)).collect();
        if let Err(error) = member.commit_ends(&self.source.topic, &offsets) {
            tracing::debug!(%error, "offsets without a topic id could not be committed with it");
        }
    }

    fn join(&self, topic: TopicId) -> Option<(Arc<Member>, JoinHandle<()>)> {
        match Member::join(&self.source, topic, &self.arrived, &self.counters) {
            Ok((member, polling)) => {
                let member = Arc::new(member);
                *self.member.lock() = Some(Arc::clone(&member));
                // Waiting polls continue with the records of this member.
                self.arrived.notify_waiters();
                Some((member, polling))
            }
            Err(error) => {
                if let Some(suppressed) = self.repeats.due("join") {
                    tracing::warn!(
                        %error,
                        suppressed,
                        "the consumer group could not be joined; retrying"
                    );
                }
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

    /// Commits the ends of partitions that have not moved since the last query although their end
    /// is after their committed offset: they may end with transaction markers, which are not
    /// records.
    fn skip_idle_ends(&self, member: &Member, observer: &mut OffsetObserver) {
        let idle = member.assignment.idle(&self.positions.get());
        for (partition, at) in observer.unmoved(idle) {
            match self.skip_markers(member, partition, at) {
                Ok(committed) => {
                    observer.mark_read(partition, at);
                    self.positions.committed(member.topic, &committed);
                }
                Err(error) => {
                    tracing::debug!(%error, partition, "the end of a partition could not be read")
                }
            }
        }
    }

    /// Commits the end of `partition` if there is no record after its committed offset.
    fn skip_markers(
        &self,
        member: &Member,
        partition: Partition,
        at: Position,
    ) -> KafkaResult<Offsets> {
        let ends = Offsets::from([(partition, at.end)]);
        let from = Offsets::from([(partition, at.committed)]);
        let mut reader = self.source.clone().read_between(member.topic, from, ends.clone())?;
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
