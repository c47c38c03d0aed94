//! How far a verification is: it reads the log, and then the store in the ways in which it is asked.

use shared::progress::Progress;

use super::expected::Share;

/// How far a verification is, shown at a terminal.
#[derive(Debug)]
pub struct Steps(Progress);

/// What a pass does, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Reads the records of the log.
    Log,
    /// Compares the facts of sessions.
    Facts,
    /// Compares the starts of countries.
    Starts,
    /// Compares the complete sessions of users.
    Completed,
}

impl Steps {
    /// Those of a verification that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Progress::new(Some(0), "{prefix}{msg} {wide_bar} {human_pos}/{human_len}, {eta} left"))
    }

    /// How many of the units of the step under way were looked at, and how many there are.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.0.position(), self.0.length().unwrap_or_default())
    }

    /// Begins `step` for a share of the users, with `units` to be looked at.
    pub(super) fn next(&self, share: Share, step: Step, units: u64) {
        if share.of > 1 {
            self.0.set_prefix(format!("pass {} of {}: ", share.number + 1, share.of));
        }
        self.0.set_message(match step {
            Step::Log => "reading the log",
            Step::Facts => "comparing sessions",
            Step::Starts => "comparing starts",
            Step::Completed => "comparing users",
        });
        self.0.set_length(units);
        self.0.reset();
    }

    /// Units of the step under way were looked at.
    pub(super) fn taken(&self, units: usize) {
        self.0.inc(units as u64);
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}
