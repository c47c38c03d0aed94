//! How failures of the driver and the brokers become errors of the log.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};
use thiserror::Error;

use super::options::Mistake;
use crate::log::{LogError, LogOpenError};

/// Why a blocking request to the brokers gave no result.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    /// The driver or the brokers refused it.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// No thread ran it to its end.
    #[error("the thread of a request to the brokers failed: {0}")]
    Thread(String),
}

/// No failure of the driver or the brokers is final: it passes, or an operator repairs it.
impl From<KafkaError> for LogError {
    fn from(error: KafkaError) -> Self {
        Self::Busy(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
                "no Kafka broker can be reached; check --kafka-brokers".to_owned()
            }
            _ => error.to_string(),
        })
    }
}

impl From<RequestError> for LogError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Kafka(error) => error.into(),
            RequestError::Thread(_) => Self::Busy(error.to_string()),
        }
    }
}

impl From<Mistake> for LogOpenError {
    fn from(mistake: Mistake) -> Self {
        Self::Configuration(mistake.to_string())
    }
}
