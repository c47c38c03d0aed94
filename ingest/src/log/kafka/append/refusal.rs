//! Tells refusals of the brokers that only an operator can end from faults that pass.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::{super::offsets::is_unknown_topic, presence::missing};
use crate::log::{LogError, RefusalCause};

/// The error of an append to `topic` that failed because of `error`.
pub(super) fn refusal(topic: &str, error: KafkaError) -> LogError {
    if is_unknown_topic(&error) {
        return missing(topic);
    }
    let Some(cause) = error.rdkafka_error_code().and_then(cause) else { return error.into() };
    let detail = match cause {
        RefusalCause::TooLarge => format!(
            "topic {topic}: a record, or records that are sent together, are larger than its max.message.bytes; \
             raise it as `bookend setup` says"
        ),
        RefusalCause::NotAuthorized => format!(
            "topic {topic}: the user may not write to it; allow it the operations Write and Describe"
        ),
        RefusalCause::InvalidTime => format!(
            "topic {topic}: the clock of this host differs from the brokers' by more than it allows; set its \
             message.timestamp.type=LogAppendTime, or synchronise the clocks"
        ),
        RefusalCause::InvalidRecord => {
            format!(
                "topic {topic}: {error}; change its cleanup.policy or the policy of the brokers"
            )
        }
    };
    LogError::Refused { cause, detail }
}

/// Whether an append failed only because it took too long.
pub(super) fn is_late(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{MessageTimedOut, OperationTimedOut, RequestTimedOut};
    matches!(
        error.rdkafka_error_code(),
        Some(MessageTimedOut | OperationTimedOut | RequestTimedOut)
    )
}

/// The cause that `code` stands for; `None` for a fault that may pass.
fn cause(code: RDKafkaErrorCode) -> Option<RefusalCause> {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge => {
            Some(RefusalCause::TooLarge)
        }
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed => Some(RefusalCause::NotAuthorized),
        RDKafkaErrorCode::InvalidTimestamp => Some(RefusalCause::InvalidTime),
        RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::PolicyViolation => {
            Some(RefusalCause::InvalidRecord)
        }
        _ => None,
    }
}
