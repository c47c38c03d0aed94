//! The program from outside: a real process with real files and real HTTP, also killed and
//! restarted.
//!
//! One binary, so that it is linked once. The tests know nothing of the internals: `model` computes
//! the expected replies from the same lines and shares no code with the service.

#[cfg(test)]
mod access;
#[cfg(test)]
mod apart;
#[cfg(test)]
mod backends;
#[cfg(test)]
mod brokers;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod cql;
#[cfg(test)]
mod data;
#[cfg(test)]
mod delays;
#[cfg(test)]
mod direct_producers;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod hostile_clients;
#[cfg(test)]
mod hostile_streams;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod loading;
#[cfg(all(test, feature = "kafka-tls"))]
mod logins;
#[cfg(test)]
mod long;
#[cfg(test)]
mod many_facts;
#[cfg(test)]
mod model;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod preload;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replayed;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod service;
#[cfg(test)]
mod slow_readers;
#[cfg(test)]
mod stopped;
#[cfg(test)]
mod strays;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod upgrade;

#[cfg(test)]
use test_support::{client, stack};
