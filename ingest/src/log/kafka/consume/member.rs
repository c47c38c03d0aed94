//! One membership in the consumer group: a consumer of the driver and the thread that polls it.
//!
//! Its partitions are paused while too many records are buffered, so that a slow caller never costs
//! the membership. Blocking calls run on this thread or on the caller's, never on the runtime's.

use std::{
    sync::{Arc, Weak, atomic::AtomicU64},
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult},
};
use tokio::sync::Notify;

use super::{
    super::{
        client,
        context::{Context, Health},
        offsets::commit_list,
        record::RecordCopier,
    },
    assignment::{Assignment, FetchPlan},
    reader::TopicSource,
    rebalance::MemberContext,
};
use crate::log::{Offsets, TopicId};

/// How long one poll of the driver waits.
const POLL: Duration = Duration::from_millis(100);

/// A membership. Its thread owns the consumer, so that the consumer is dropped there.
pub(super) struct Member {
    /// The topic that it consumes.
    pub(super) topic: TopicId,
    pub(super) assignment: Arc<Assignment>,
    pub(super) consumer: Weak<BaseConsumer<MemberContext>>,
    health: Arc<Health>,
}

/// The counters that all memberships share.
#[derive(Default)]
pub(super) struct Counters {
    /// The number of changes of the assignment.
    pub(super) rebalances: Arc<AtomicU64>,
    /// The number of records that retention removed before they could be read.
    pub(super) removed: Arc<AtomicU64>,
}

impl Member {
    /// Starts to join the group, for the `topic` of this name. Notifies `arrived` when there are
    /// records to poll.
    pub(super) fn join(
        source: &TopicSource,
        topic: TopicId,
        arrived: &Arc<Notify>,
        Counters { rebalances, removed }: &Counters,
    ) -> KafkaResult<(Self, JoinHandle<()>)> {
        let TopicSource { options, clock, .. } = source;
        let (health, assignment) =
            (Arc::<Health>::default(), Arc::new(Assignment::new(options.poll_bytes)));
        let context = MemberContext {
            context: Context::new("consumer", Arc::clone(&health)).naming(&options.brokers),
            assignment: Arc::clone(&assignment),
            rebalances: Arc::clone(rebalances),
            removed: Arc::clone(removed),
            source: source.clone(),
            topic,
        };
        let consumer: Arc<BaseConsumer<_>> =
            Arc::new(client::member(options).create_with_context(context)?);
        consumer.subscribe(&[&options.topic])?;
        let member = Self {
            topic,
            assignment: Arc::clone(&assignment),
            consumer: Arc::downgrade(&consumer),
            health,
        };
        let (arrived, copier) = (Arc::clone(arrived), RecordCopier::new(*clock, topic));
        let polling = thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || poll(&consumer, &assignment, copier, &arrived))
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
        let outcome = match self.consumer.upgrade() {
            Some(consumer) => commit_list(topic, self.topic, &due)
                .and_then(|list| consumer.commit(&list, CommitMode::Sync)),
            None => Err(KafkaError::Canceled),
        };
        self.assignment.end_commit(&due, outcome.is_ok());
        outcome.map(|()| due)
    }

    /// Counts records of its partitions that retention has removed before they were fetched.
    pub(super) fn count_removed(&self, lows: &Offsets) {
        if let Some(consumer) = self.consumer.upgrade() {
            consumer.context().count_removed(&self.assignment.removed(lows));
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.health.is_given_up()
    }
}

/// Polls until the membership ends. Dropping the last reference to the consumer leaves the group.
fn poll(
    consumer: &BaseConsumer<MemberContext>,
    assignment: &Assignment,
    mut copier: RecordCopier,
    arrived: &Notify,
) {
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
        if let Err(error) = apply_plan(consumer, assignment, &mut plan)
            && let Some(suppressed) = consumer.context().context.due("plan")
        {
            tracing::warn!(%error, suppressed, "partitions could not be paused or resumed");
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
