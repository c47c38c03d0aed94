//! One membership in the group: a consumer of the driver with a thread that polls it, from its joining to its leaving.
//!
//! Its partitions are paused while too much waits to be polled, so that it stays a member whatever its caller does. Whatever
//! blocks happens on this thread or on one that asks for it, never on the runtime's.

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
    assignment::{Assignment, Wanted},
    client,
    context::{Context, Health},
    look,
    options::KafkaLogOptions,
    record::Copier,
};
use crate::log::{Offsets, Partition};

/// How long the driver is waited for at a time.
const POLL: Duration = Duration::from_millis(100);

/// A membership. The consumer belongs to its thread, so that it is dropped there.
pub(super) struct Member {
    pub(super) assignment: Arc<Assignment>,
    pub(super) consumer: Weak<BaseConsumer<MemberContext>>,
    health: Arc<Health>,
}

/// What the consumer of a membership tells, and to whom.
pub(super) struct MemberContext {
    context: Context,
    assignment: Arc<Assignment>,
    rebalances: Arc<AtomicU64>,
    topic: String,
    patience: Duration,
}

impl Member {
    /// Joins the group, which the driver finishes by itself. `arrived` is told when there is something to poll.
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
            patience: options.revoke_timeout,
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

    /// Commits what is due of `offsets` and answers it. Blocks.
    pub(super) fn commit(&self, topic: &str, offsets: &Offsets) -> KafkaResult<Offsets> {
        self.committed(topic, self.assignment.begin_commit(offsets))
    }

    /// Commits offsets before which there are no records but those that are committed, and answers what was due of them.
    /// Blocks.
    pub(super) fn pass(&self, topic: &str, offsets: &Offsets) -> KafkaResult<Offsets> {
        self.committed(topic, self.assignment.begin_pass(offsets))
    }

    fn committed(&self, topic: &str, due: Offsets) -> KafkaResult<Offsets> {
        if due.is_empty() {
            return Ok(due);
        }
        let list = due.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset)));
        let outcome = match self.consumer.upgrade() {
            Some(consumer) => {
                look::list(topic, list).and_then(|list| consumer.commit(&list, CommitMode::Sync))
            }
            None => Err(KafkaError::Canceled),
        };
        self.assignment.end_commit(&due, outcome.is_ok());
        outcome.map(|()| due)
    }

    /// Whether the driver has given it up.
    pub(super) fn is_given_up(&self) -> bool {
        self.health.is_given_up()
    }
}

/// Polls until the member is at its end. The consumer is dropped by whoever has it last, which leaves the group.
fn poll(
    consumer: &BaseConsumer<MemberContext>,
    assignment: &Assignment,
    clock: Clock,
    arrived: &Notify,
) {
    let mut copier = Copier::new(clock);
    let mut told = Wanted::NOTHING;
    while !assignment.is_ended() {
        match consumer.poll(POLL) {
            Some(Ok(given)) => {
                if assignment.push(copier.record(&given)) {
                    arrived.notify_one();
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => assignment.at_end(partition),
            Some(Err(KafkaError::MessageConsumptionFatal(_))) => {
                consumer.context().context.health().give_up()
            }
            // The driver goes on by itself, and its error callback has told the rest.
            Some(Err(_)) | None => {}
        }
        if let Err(error) = tell(consumer, assignment, &mut told) {
            tracing::warn!(%error, "partitions could not be held back, or let go on");
        }
    }
}

/// Tells the driver of which partitions to fetch more, when that is not what it was told before. One that is gained meanwhile
/// is paused like the others.
fn tell(
    consumer: &BaseConsumer<MemberContext>,
    assignment: &Assignment,
    told: &mut Wanted,
) -> KafkaResult<()> {
    let wanted = assignment.wanted(*told);
    if wanted == *told {
        return Ok(());
    }
    let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
    for element in consumer.assignment()?.elements() {
        let list = if wanted.has(element.partition()) { &mut resume } else { &mut pause };
        list.add_partition(element.topic(), element.partition());
    }
    consumer.pause(&pause)?;
    consumer.resume(&resume)?;
    *told = wanted;
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
                tracing::info!(?partitions, "partitions gained");
                self.assignment.gain(&partitions);
                self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(list);
                // Others have them already: there is nothing to wait for.
                let patience =
                    if consumer.assignment_lost() { Duration::ZERO } else { self.patience };
                let left = self.assignment.lose(&partitions, patience);
                // The driver would remember that they are held back, also when they come again.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(%error, "partitions that are given up stay held back");
                }
                tracing::info!(
                    ?partitions,
                    left,
                    "partitions given up; what was not committed of them comes again"
                );
                self.rebalances.fetch_add(u64::from(!partitions.is_empty()), Ordering::Relaxed);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "partitions could not be dealt out"),
        }
    }
}
