//! The callbacks of a member's consumer: they decide at which offsets assigned partitions begin,
//! and wait for the commits of revoked ones. They run on the thread that polls the consumer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use super::{
    super::{
        begin::{Begin, Cause},
        context::Context,
        offsets::{Leaderless, commit_list, fetch_begins},
    },
    assignment::Assignment,
    reader::TopicSource,
};
use crate::log::{Offsets, Partition, TopicId};

/// How often the offsets of assigned partitions are fetched before the membership is given up. The
/// last attempt does not wait for leaders.
const ATTEMPTS: usize = 4;
/// The pause between two attempts: an election of leaders takes about so long.
const PAUSE: Duration = Duration::from_millis(500);

/// The callbacks of a member's consumer.
pub(super) struct MemberContext {
    pub(super) context: Context,
    pub(super) assignment: Arc<Assignment>,
    pub(super) rebalances: Arc<AtomicU64>,
    /// The number of offsets that retention removed before they could be read.
    pub(super) removed: Arc<AtomicU64>,
    pub(super) source: TopicSource,
    /// The topic that the membership is for.
    pub(super) topic: TopicId,
}

impl MemberContext {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements_for_topic(&self.source.topic);
        elements.iter().map(|element| element.partition()).collect()
    }

    /// Assigns `list`, from the offsets at which the group begins. Those that were not committed
    /// with the id of this topic are committed at once, so that no other offset counts later, and
    /// none of them for the next topic of the name.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let partitions = self.partitions(list);
        let begins = match partitions.is_empty() {
            true => Ok(Default::default()),
            false => self.fetch_begins(consumer, &partitions),
        };
        if let Ok(begins) = &begins {
            for (partition, begin) in begins {
                let offset = begin.known().map_or(Offset::Beginning, Offset::Offset);
                list.set_partition_offset(&self.source.topic, *partition, offset)?;
            }
            tracing::info!(?partitions, "partitions assigned");
            self.report(begins);
            let begins = begins.iter().map(|(partition, begin)| (*partition, begin.known()));
            self.assignment.gain(begins);
            self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
        }
        // The driver waits for this call also if the membership is given up.
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
            _ => consumer.assign(list)?,
        }
        let uncommitted: Offsets = begins?
            .into_iter()
            .filter(|(_, begin)| begin.cause != Cause::Committed)
            .filter_map(|(partition, begin)| Some((partition, begin.known()?)))
            .collect();
        if !uncommitted.is_empty() {
            let list = commit_list(&self.source.topic, self.topic, &uncommitted)?;
            consumer.commit(&list, CommitMode::Async)?;
        }
        Ok(())
    }

    fn fetch_begins(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[Partition],
    ) -> KafkaResult<std::collections::BTreeMap<Partition, Begin>> {
        let mut attempts = 1;
        loop {
            let leaderless = match attempts < ATTEMPTS {
                true => Leaderless::Fail,
                false => Leaderless::Allow,
            };
            let uncommitted = || self.source.uncommitted_client();
            let topic = &self.source.topic;
            let found =
                fetch_begins(consumer, topic, self.topic, partitions, leaderless, &uncommitted);
            match found {
                // A partition without begin is unknown to the brokers by now.
                Ok(found) if found.begins.len() == partitions.len() => return Ok(found.begins),
                Err(error) if attempts == ATTEMPTS || self.assignment.is_ended() => {
                    return Err(error);
                }
                Ok(_) if attempts == ATTEMPTS => return Err(KafkaError::NoMessageReceived),
                Ok(_) | Err(_) => {
                    attempts += 1;
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Logs and counts what the committed offsets show.
    fn report(&self, begins: &std::collections::BTreeMap<Partition, Begin>) {
        let (topic, group) = (&self.source.topic, &self.source.group);
        let of = |wanted: fn(Cause) -> bool| {
            let some = begins.iter().filter(|(_, begin)| wanted(begin.cause));
            some.map(|(partition, begin)| (*partition, begin.offset)).collect::<Offsets>()
        };
        let new = of(|cause| cause == Cause::NothingCommitted);
        if !new.is_empty() {
            tracing::warn!(
                topic,
                group,
                begins = ?new,
                "the group has no committed offsets for these partitions, which are read from their oldest records; the \
                 group is new, or its offsets expired or were deleted"
            );
        }
        let others = of(|cause| cause == Cause::OtherTopic);
        if !others.is_empty() {
            tracing::info!(
                topic,
                begins = ?others,
                "the committed offsets belong to a deleted topic of the same name; the partitions are read from their \
                 oldest records"
            );
        }
        let after = of(|cause| cause == Cause::AfterEnd);
        if !after.is_empty() {
            tracing::error!(
                topic,
                begins = ?after,
                "the committed offsets are after the end of the partitions: the brokers lost records, or somebody committed \
                 wrong offsets; the partitions are read from their oldest records"
            );
        }
        let removed = begins.iter().filter_map(|(partition, begin)| match begin.cause {
            Cause::Removed(count) => Some((*partition, count)),
            _ => None,
        });
        self.count_removed(&removed.collect());
    }

    /// Counts and logs records that retention removed before they could be read.
    pub(super) fn count_removed(&self, removed: &Offsets) {
        if removed.is_empty() {
            return;
        }
        let count = removed.values().sum::<i64>();
        self.removed.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        let Some(suppressed) = self.context.due("removed") else { return };
        tracing::error!(
            topic = self.source.topic,
            ?removed,
            suppressed,
            "the topic's retention removed records before they were consumed (by partition, at most so many); raise its \
             retention"
        );
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = self.partitions(list);
        // A lost assignment already belongs to other members: waiting would not help.
        let timeout = match consumer.assignment_lost() {
            true => Duration::ZERO,
            false => self.source.options.revoke_timeout,
        };
        let uncommitted = self.assignment.lose(&partitions, timeout);
        // The driver would keep them paused after a later assignment.
        if let Err(error) = consumer.resume(list)
            && let Some(suppressed) = self.context.due("resume")
        {
            tracing::warn!(%error, suppressed, "revoked partitions could not be resumed");
        }
        tracing::info!(
            ?partitions,
            uncommitted,
            "partitions revoked; their uncommitted records are delivered again"
        );
        self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        self.context.log(level, kind, line);
    }

    fn error(&self, error: KafkaError, cause: &str) {
        self.context.error(error, cause);
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let outcome = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a rebalance failed; a new membership follows");
            self.context.health().give_up();
        }
    }
}
