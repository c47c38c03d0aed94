//! The program `bookend`: both services in one process, and the commands around them.
//!
//! The services are the crates [`ingest`] and [`query_api`]; this crate connects them.
#![doc = include_str!("../../../ARCHITECTURE.md")]

pub mod cli;
pub mod client;
pub mod demo;
pub mod generate;
pub mod health;
pub mod key;
pub mod load;
pub mod redrive;
pub mod serve;
pub mod setup;
pub mod verify;
