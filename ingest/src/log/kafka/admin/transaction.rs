//! One step of a redrive as a Kafka transaction: records of the log, letters that are kept, and the
//! committed offsets of the redrive become visible together or not at all.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::super::{
    append::outgoing::{Outgoing, TimeText},
    client,
    options::KafkaLogOptions,
};
use crate::log::{LogError, Offsets};

/// How long one request of a transaction may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the driver is given to send records while its queue is full.
const POLL: Duration = Duration::from_millis(100);

/// The producer of a redrive. Its transactional id belongs to the group, so the brokers let only
/// the last one that was opened commit.
pub(in super::super) struct Transactions {
    pub(in super::super) producer: BaseProducer,
    topic: String,
    letters: String,
}

/// The content of one transaction.
#[derive(Default)]
pub(in super::super) struct Step {
    pub(in super::super) back: Vec<Outgoing>,
    pub(in super::super) kept: Vec<Outgoing>,
    pub(in super::super) offsets: Offsets,
    /// What is committed beside the offset of each partition.
    pub(in super::super) metadata: Vec<(i32, String)>,
}

impl Transactions {
    /// Opens the producer. Aborts the open transaction of another one, which can commit no more.
    /// Blocks.
    pub(in super::super) fn open(options: &KafkaLogOptions) -> KafkaResult<Self> {
        let producer: BaseProducer = client::transactional(options).create()?;
        producer.init_transactions(LIMIT)?;
        let (topic, letters) = (options.topic.clone(), options.letters_topic());
        Ok(Self { producer, topic, letters })
    }

    /// Commits `step`, or aborts it after an error. Blocks.
    pub(super) fn commit(&self, step: &Step, group: &ConsumerGroupMetadata) -> KafkaResult<()> {
        let outcome = self.begin(step, group);
        let outcome = outcome.and_then(|()| self.producer.commit_transaction(LIMIT));
        if outcome.is_err() {
            // If this fails too, the brokers abort it after the timeout.
            self.producer.abort_transaction(LIMIT).ok();
        }
        outcome
    }

    /// Sends all of `step` in a new transaction. Blocks.
    pub(in super::super) fn begin(
        &self,
        step: &Step,
        group: &ConsumerGroupMetadata,
    ) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        for record in &step.back {
            self.send(&self.topic, record)?;
        }
        for letter in &step.kept {
            self.send(&self.letters, letter)?;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &step.offsets {
            list.add_partition_offset(&self.letters, *partition, Offset::Offset(*offset))?;
        }
        for (partition, metadata) in &step.metadata {
            if let Some(mut element) = list.find_partition(&self.letters, *partition) {
                element.set_metadata(metadata);
            }
        }
        self.producer.send_offsets_to_transaction(&list, group, LIMIT)
    }

    fn send(&self, topic: &str, outgoing: &Outgoing) -> KafkaResult<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        (record.key, record.payload) = (outgoing.key.as_deref(), outgoing.value.as_deref());
        record.headers = outgoing.owned_headers(&mut TimeText::default());
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    record = back;
                    self.producer.poll(POLL);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// What a failure of a transaction means to an operator.
pub(super) fn explained(error: &KafkaError) -> LogError {
    use RDKafkaErrorCode::{
        Fenced, InvalidProducerEpoch, InvalidTransactionTimeout, MessageSizeTooLarge,
        ProducerFenced, TransactionalIdAuthorizationFailed,
    };
    let meaning = match error.rdkafka_error_code() {
        Some(Fenced | ProducerFenced | InvalidProducerEpoch) => {
            "another redrive of this group has taken over; wait until it ends"
        }
        Some(TransactionalIdAuthorizationFailed) => {
            "the user may not write with the transactional id GROUP.redrive; grant it Write and \
             Describe"
        }
        Some(InvalidTransactionTimeout) => {
            "the brokers allow only shorter transactions; raise transaction.max.timeout.ms"
        }
        Some(MessageSizeTooLarge) => {
            "a record is larger than its topic allows; raise max.message.bytes of the topic, then \
             run the redrive again"
        }
        // The brokers may have committed the step although their reply was lost.
        _ => "run it again: the next redrive continues after the last committed step",
    };
    LogError::Busy(format!("the redrive was interrupted: {error}; {meaning}"))
}
