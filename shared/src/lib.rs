//! What every Bookend process shares: the event, the session, the clock, configuration, the store and telemetry.
//!
//! Nothing here speaks to Kafka and nothing here decides what is written: that is the `ingest` crate.

pub mod about;
pub mod cli;
pub mod clock;
pub mod config;
pub mod disk;
pub mod event;
pub mod files;
pub mod http;
pub mod progress;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod timestamp;
