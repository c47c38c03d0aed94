//! Ingest: the endpoint, which appends batches of session events to the log, and the consumer,
//! which pairs them into completed sessions in the store.

pub mod config;
pub mod consumer;
pub mod http;
pub mod log;
pub mod metrics;
pub mod pairing;
pub mod replay;
pub mod retention;
pub mod service;
