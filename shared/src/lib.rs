//! Code that every Bookend process shares: events, sessions, the clock, configuration, the store
//! and telemetry.
//!
//! Nothing here speaks to Kafka, and nothing here decides what is written: the `ingest` crate does.

pub mod access;
pub mod authorities;
pub mod build_info;
pub mod cli;
pub mod clock;
pub mod config;
pub mod disk;
pub mod event;
pub mod http;
pub mod open_files;
pub mod progress;
pub mod session;
pub mod skew;
pub mod store;
pub mod telemetry;
pub mod timestamp;
pub mod tls;
