//! The progress of a verification: it reads the log, then the three kinds of rows in the store.

use shared::progress::Progress;

use super::expected::Share;

/// The progress of a verification, shown on a terminal.
#[derive(Debug)]
pub struct Steps(Progress);

impl Steps {
    /// The number of units done in the current step, and their total.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.0.position(), self.0.length().unwrap_or_default())
    }

    /// Begins `step` of `units` units for a share of the users.
    pub(super) fn next(&self, share: Share, step: &'static str, units: u64) {
        if share.of > 1 {
            self.0.set_prefix(format!("pass {} of {}: ", share.number + 1, share.of));
        }
        self.0.set_message(step);
        self.0.set_length(units);
        self.0.reset();
    }

    /// Adds done units to the current step.
    pub(super) fn done(&self, units: usize) {
        self.0.inc(units as u64);
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self(Progress::new(Some(0), "{prefix}{msg} {wide_bar} {human_pos}/{human_len}, {eta} left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_its_pass_if_there_are_several() {
        let steps = Steps::default();
        let shown = || (steps.0.prefix(), steps.0.message(), steps.position());
        steps.next(Share { number: 0, of: 1 }, "reading the log", 10);
        steps.done(4);
        assert_eq!(shown(), (String::new(), "reading the log".to_owned(), (4, 10)));
        steps.next(Share { number: 1, of: 3 }, "comparing users", 7);
        assert_eq!(shown(), ("pass 2 of 3: ".to_owned(), "comparing users".to_owned(), (0, 7)));
    }
}
