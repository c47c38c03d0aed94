//! Takes batches of session events, keeps them in the log, and pairs them into completed sessions.

pub mod config;
pub mod consumer;
pub mod http;
pub mod log;
pub mod metrics;
pub mod pairing;
pub mod retention;
pub mod service;
