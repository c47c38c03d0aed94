//! One membership in the consumer group: a consumer of the driver and the thread that polls it.
//!
//! Its partitions are paused while too many records are buffered, so that a slow caller never costs
//! the membership. Blocking calls run on this thread or on the caller's, never on the runtime's.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
};
use shared::clock::Clock;
use tokio::sync::Notify;

use super::{
    super::{
        client,
        context::{Context, Health},
        offsets::partition_list,
        options::KafkaLogOptions,
        record::RecordCopier,
    },
    assignment::{Assignment, FetchPlan},
};
use crate::log::{Offsets, Partition};

/// How long one poll of the driver waits.
const POLL: Duration = Duration::from_millis(100);

/// A membership. Its thread owns the consumer, so that the consumer is dropped there.
pub(super) struct Member {
    pub(super) assignment: Arc<Assignment>,
    pub(super) consumer: Weak<BaseConsumer<MemberContext>>,
    health: Arc<Health>,
}

/// The callbacks of a member's consumer.
pub(super) struct MemberContext {
    context: Context,
    assignment: Arc<Assignment>,
    rebalances: Arc<AtomicU64>,
    topic: String,
    revoke_timeout: Duration,
}

impl Member {
    /// Starts to join the group. Notifies `arrived` when there are records to poll.
    pub(super) fn join(
        options: &KafkaLogOptions,
        clock: Clock,
        arrived: &Arc<Notify>,
        rebalances: &Arc<AtomicU64>,
    ) -> KafkaResult<(Self, JoinHandle<()>)> {
        let (health, assignment) =
            (Arc::<Health>::default(), Arc::new(Assignment::new(options.poll_bytes)));
        let context = MemberContext {
            context: Context::new("consumer", Arc::clone(&health)),
            assignment: Arc::clone(&assignment),
            rebalances: Arc::clone(rebalances),
            topic: options.topic.clone(),
            revoke_timeout: options.revoke_timeout,
        };
        let consumer: Arc<BaseConsumer<_>> =
            Arc::new(client::member(options).create_with_context(context)?);
        consumer.subscribe(&[&options.topic])?;
        let member = Self {
            assignment: Arc::clone(&assignment),
            consumer: Arc::downgrade(&consumer),
            health,
        };
        let arrived = Arc::clone(arrived);
        let polling = thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || poll(&consumer, &assignment, clock, &arrived))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok((member, polling))
    }

    /// Commits those of `offsets` that are due, and returns them. Blocks.
    pub(super) fn commit(&self, topic: &str, offsets: &Offsets) -> KafkaResult<Offsets> {
        self.commit_due(topic, self.assignment.begin_commit(offsets))
    }

    /// Commits the due ends of partitions without uncommitted records. Blocks.
    pub(super) fn commit_ends(&self, topic: &str, offsets: &Offsets) -> KafkaResult<Offsets> {
        self.commit_due(topic, self.assignment.begin_commit_ends(offsets))
    }

    fn commit_due(&self, topic: &str, due: Offsets) -> KafkaResult<Offsets> {
        if due.is_empty() {
            return Ok(due);
        }
        let list = due.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset)));
        let outcome = match self.consumer.upgrade() {
            Some(consumer) => partition_list(topic, list)
                .and_then(|list| consumer.commit(&list, CommitMode::Sync)),
            None => Err(KafkaError::Canceled),
        };
        self.assignment.end_commit(&due, outcome.is_ok());
        outcome.map(|()| due)
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.health.is_given_up()
    }
}

/// Polls until the membership ends. Dropping the last reference to the consumer leaves the group.
fn poll(
    consumer: &BaseConsumer<MemberContext>,
    assignment: &Assignment,
    clock: Clock,
    arrived: &Notify,
) {
    let mut copier = RecordCopier::new(clock);
    let mut plan = FetchPlan::NOTHING;
    while !assignment.is_ended() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                if assignment.push(copier.copy(&message)) {
                    arrived.notify_one();
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => assignment.at_end(partition),
            Some(Err(KafkaError::MessageConsumptionFatal(_))) => {
                consumer.context().context.health().give_up()
            }
            // The driver recovers by itself, and its error callback has logged the error.
            Some(Err(_)) | None => {}
        }
        if let Err(error) = apply_plan(consumer, assignment, &mut plan) {
            tracing::warn!(%error, "partitions could not be paused or resumed");
        }
    }
}

/// Pauses and resumes partitions if the plan has changed. Partitions gained meanwhile are included.
fn apply_plan(
    consumer: &BaseConsumer<MemberContext>,
    assignment: &Assignment,
    plan: &mut FetchPlan,
) -> KafkaResult<()> {
    let next = assignment.fetch_plan(*plan);
    if next == *plan {
        return Ok(());
    }
    let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
    for element in consumer.assignment()?.elements() {
        let list = if next.includes(element.partition()) { &mut resume } else { &mut pause };
        list.add_partition(element.topic(), element.partition());
    }
    consumer.pause(&pause)?;
    consumer.resume(&resume)?;
    *plan = next;
    Ok(())
}

impl MemberContext {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        list.elements_for_topic(&self.topic).iter().map(|element| element.partition()).collect()
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
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = self.partitions(list);
                tracing::info!(?partitions, "partitions assigned");
                self.assignment.gain(&partitions);
                self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(list);
                // A lost assignment already belongs to other members: waiting would not help.
                let timeout =
                    if consumer.assignment_lost() { Duration::ZERO } else { self.revoke_timeout };
                let uncommitted = self.assignment.lose(&partitions, timeout);
                // The driver would keep them paused after a later assignment.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(%error, "revoked partitions could not be resumed");
                }
                tracing::info!(
                    ?partitions,
                    uncommitted,
                    "partitions revoked; their uncommitted records are delivered again"
                );
                self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "a rebalance failed"),
        }
    }
}
