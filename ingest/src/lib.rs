//! Takes batches of session events, keeps them in the log, and pairs them into completed sessions.

pub mod log;
pub mod pairing;
