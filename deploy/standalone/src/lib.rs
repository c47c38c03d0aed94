//! The whole service in one program, and the commands that load, check and show it.
//!
//! The services themselves are the crates [`ingest`] and [`query_api`]; here they are wired together.
#![doc = include_str!("../../../ARCHITECTURE.md")]

pub mod cli;
pub mod demo;
pub mod generate;
pub mod load;
pub mod redrive;
pub mod serve;
pub mod setup;
pub mod verify;
