//! Finds topic settings with which the brokers refuse, lose or delay events.
//!
//! `setup` reports the findings. A running process checks at its start and every minute, logs each
//! change once, and shows every finding as a metric. Nothing here changes a topic.

pub(super) mod checks;
pub(super) mod finding;
pub(super) mod rules;
pub(super) mod settings;
