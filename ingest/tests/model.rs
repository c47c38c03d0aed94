//! Model checks of pairing: it loses nothing and shows nothing twice. They visit every interleaving
//! of small worlds, not a sample.
//!
//! `replicas` checks the consistency of the store: which order of writes and reads, at which
//! quorums, lets no session be missed. `markers` checks the rows: the real decision leaves exactly
//! the canonical rows visible, even if handlers are late, repeat themselves or stop half-way.
//! `arrivals` checks the same where one process alone adds facts, which needs fewer markers.
//! `acceptance` checks how hosts whose clocks differ judge the time of an event. All have controls:
//! weaker protocols that must fail, so that a pass means something.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "model/acceptance.rs"]
mod acceptance;
#[path = "model/arrivals.rs"]
mod arrivals;
#[path = "model/explore.rs"]
mod explore;
#[path = "model/markers.rs"]
mod markers;
#[path = "model/replicas.rs"]
mod replicas;
