//! The operator's commands: creating topics and redriving dead letters.

mod redrive;
pub(super) mod setup;
pub(super) mod transaction;
