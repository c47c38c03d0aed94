//! Asks Kafka's brokers for the id of a topic.
//!
//! A topic that is deleted and created again has the same name and another id. The safe crate of
//! the driver shows no ids, so this crate calls `rd_kafka_DescribeTopics` itself. It is the only
//! crate of the workspace with `unsafe`, and does nothing else. Its functions block.

use std::{
    ffi::{CString, c_int},
    marker::PhantomData,
    ptr::{self, NonNull},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    bindings::{
        self, rd_kafka_TopicDescription_t, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        rd_kafka_error_t, rd_kafka_event_t, rd_kafka_resp_err_t,
    },
    client::Client,
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use self::owned::{AdminOptions, Event, Queue, TopicCollection};

mod owned;

// The codes of brokers, declared as the numbers that they are: a broker may be newer than the enum
// of the driver's bindings, and a value that the enum does not have would be undefined behaviour.
unsafe extern "C" {
    fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> c_int;
    fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> c_int;
}

/// Asks a broker for the id of `topic`, at most for `limit`. Returns 0 if the brokers are too old
/// to have ids (before Kafka 2.8). Never creates the topic. Blocks.
///
/// # Errors
/// [`KafkaError::MetadataFetch`] with `UnknownTopicOrPartition` if the topic does not exist, and
/// with another code if no broker replied or the broker refused.
pub fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    limit: Duration,
) -> KafkaResult<u128> {
    let name = CString::new(topic)?;
    let event = request(client, &name, limit)?;
    // SAFETY: `event` is a live event, which this function owns.
    fail_on(unsafe { rd_kafka_event_error(event.ptr()) })?;
    let description = Description::first(&event)?;
    fail_on(description.error())?;
    Ok(description.id())
}

/// Sends the request and waits for its result.
fn request<C: ClientContext>(
    client: &Client<C>,
    topic: &CString,
    limit: Duration,
) -> KafkaResult<Event> {
    let timeout = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    let rk = client.native_ptr();
    let missing = || failure(RDKafkaErrorCode::Fail);
    // SAFETY: `rk` is the handle of a client that is borrowed, and so alive, during this function.
    let queue = unsafe { bindings::rd_kafka_queue_new(rk) };
    let queue = Queue::new(queue).ok_or_else(missing)?;
    // SAFETY: as above.
    let options =
        unsafe { bindings::rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS) };
    let options = AdminOptions::new(options).ok_or_else(missing)?;
    // SAFETY: the options are alive. The driver writes no text into a buffer of no bytes.
    let set = unsafe {
        bindings::rd_kafka_AdminOptions_set_request_timeout(
            options.ptr(),
            timeout,
            ptr::null_mut(),
            0,
        )
    };
    fail_on(set as c_int)?;
    let mut names = [topic.as_ptr()];
    // SAFETY: `names` holds one pointer to a text that ends with a zero byte; the driver copies it.
    let topics = unsafe {
        bindings::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len())
    };
    let topics = TopicCollection::new(topics).ok_or_else(missing)?;
    // SAFETY: all four are alive. The driver copies the names and the options, and holds a
    // reference of its own to the queue until it has put the result there.
    unsafe { bindings::rd_kafka_DescribeTopics(rk, topics.ptr(), options.ptr(), queue.ptr()) };
    // The driver itself puts a timeout there; the margin is only for a driver that does not.
    // SAFETY: the queue is alive, and no other thread has it.
    let event =
        unsafe { bindings::rd_kafka_queue_poll(queue.ptr(), timeout.saturating_add(1_000)) };
    Event::new(event).ok_or_else(|| failure(RDKafkaErrorCode::OperationTimedOut))
}

/// The description of a topic, which is part of an event.
struct Description<'event>(
    NonNull<rd_kafka_TopicDescription_t>,
    // Nothing of the description is used after the event is destroyed.
    PhantomData<&'event Event>,
);

impl<'event> Description<'event> {
    /// The description of the only topic asked for.
    fn first(event: &'event Event) -> KafkaResult<Self> {
        // SAFETY: the event is alive. The result is part of it, and null if it is of another type.
        let result = unsafe { bindings::rd_kafka_event_DescribeTopics_result(event.ptr()) };
        if result.is_null() {
            return Err(failure(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        // SAFETY: the result is not null, and its event is alive.
        let topics = unsafe { bindings::rd_kafka_DescribeTopics_result_topics(result, &mut count) };
        if topics.is_null() || count == 0 {
            return Err(failure(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        // SAFETY: the array has `count` elements, at least one, and lives as long as the event.
        let first = NonNull::new(unsafe { *topics }.cast_mut());
        let first = first.ok_or_else(|| failure(RDKafkaErrorCode::BadMessage))?;
        Ok(Self(first, PhantomData))
    }

    fn ptr(&self) -> *const rd_kafka_TopicDescription_t {
        self.0.as_ptr()
    }

    fn error(&self) -> c_int {
        // SAFETY: the description is alive, by its lifetime.
        let error = unsafe { bindings::rd_kafka_TopicDescription_error(self.ptr()) };
        // SAFETY: the error is part of the description, or null, for which the code is that there
        // is none.
        unsafe { rd_kafka_error_code(error) }
    }

    /// The id; 0 if there is none.
    fn id(&self) -> u128 {
        // SAFETY: the description is alive, by its lifetime.
        let id = unsafe { bindings::rd_kafka_TopicDescription_topic_id(self.ptr()) };
        if id.is_null() {
            return 0;
        }
        // SAFETY: the id is not null, and part of the description.
        let most = unsafe { bindings::rd_kafka_Uuid_most_significant_bits(id) };
        // SAFETY: as above.
        let least = unsafe { bindings::rd_kafka_Uuid_least_significant_bits(id) };
        (u128::from(most.cast_unsigned()) << 64) | u128::from(least.cast_unsigned())
    }
}

fn fail_on(code: c_int) -> KafkaResult<()> {
    match rd_kafka_resp_err_t::try_from(code) {
        Ok(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR) => Ok(()),
        Ok(code) => Err(failure(code.into())),
        Err(_) => Err(failure(RDKafkaErrorCode::Unknown)),
    }
}

fn failure(code: RDKafkaErrorCode) -> KafkaError {
    KafkaError::MetadataFetch(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_broker_is_an_error_like_others() {
        assert_eq!(fail_on(0), Ok(()));
        assert_eq!(fail_on(3), Err(failure(RDKafkaErrorCode::UnknownTopicOrPartition)));
        assert_eq!(fail_on(31_000), Err(failure(RDKafkaErrorCode::Unknown)));
    }
}
