//! The metrics of the endpoint and the consumer. Label values never contain a user or a session.

mod consumer;
mod endpoint;
mod handled;
mod register;

pub use self::{
    consumer::{ConsumerMetrics, LAG, RECORDS_HANDLED},
    endpoint::{EventOutcome, IngestMetrics},
    handled::Handled,
};
