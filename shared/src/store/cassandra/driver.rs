//! Access to the Cassandra cluster through its driver: connections, TLS, statements, retries.
//!
//! Knows nothing about sessions: rows are values of prepared statements here.

mod connect;
mod error;
mod failure;
mod guardrails;
mod limit;
mod options;
mod reads;
mod request;
mod rows;
mod statements;
mod tls;

pub(crate) use self::{
    connect::{open_error, open_requests, open_session},
    error::Result,
    failure::retry_cause,
    guardrails::in_the_way,
    request::{Caller, Requests},
    rows::{page_rows, paged, read_rows},
    statements::Statements,
};
pub use self::{
    error::CassandraOpenError,
    options::{CassandraOptions, OnRetry, RetryCause},
    tls::CassandraTls,
};
