//! Support for the tests of every crate: HTTP clients and a server, log lines, and real Kafka and
//! Cassandra.
//!
//! Only a dev-dependency. It depends on no other crate of the workspace and on no driver.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "only tests call it")]

pub mod client;
pub mod connection;
pub mod lines;
pub mod origin;
pub mod quota;
pub mod stack;
