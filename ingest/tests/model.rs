//! Why pairing loses nothing and shows nothing twice: every interleaving of small worlds, not a
//! sample of them.
//!
//! `replicas` is about the store's consistency: which order of writing and reading, at which
//! quorums, lets no session be overlooked. `markers` is about the rows: that what the real decision
//! writes leaves exactly the canonical rows visible, whoever comes late, twice or stops half-way.
//! Each has controls: weaker protocols that must be found wrong, so that a pass means something.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "model/explore.rs"]
mod explore;
#[path = "model/markers.rs"]
mod markers;
#[path = "model/replicas.rs"]
mod replicas;
