//! Limits how often a log line repeats, so that an outage does not fill the disk with one line.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The shortest time between two log lines of a kind. Lines in between are counted.
const INTERVAL: Duration = Duration::from_secs(10);
/// The number of kinds of lines that are remembered.
const KINDS: usize = 64;

/// For each kind of line, when it was last written and how many were suppressed since.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<String, (Instant, u64)>>);

impl Repeats {
    /// The number of suppressed lines since the last one; `None` if this line is suppressed.
    pub fn due(&self, kind: &str) -> Option<u64> {
        let mut kinds = self.0.lock();
        if let Some((written, suppressed)) = kinds.get_mut(kind) {
            if written.elapsed() < INTERVAL {
                *suppressed += 1;
                return None;
            }
            *written = Instant::now();
            return Some(std::mem::take(suppressed));
        }
        if kinds.len() >= KINDS {
            kinds.clear();
        }
        kinds.insert(kind.to_owned(), (Instant::now(), 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_line_is_written_once_and_does_not_hold_back_others() {
        let repeats = Repeats::default();
        let lines = ["a", "a", "b", "a"].map(|kind| repeats.due(kind));
        assert_eq!(lines, [Some(0), None, Some(0), None]);
        repeats.0.lock().get_mut("a").unwrap().0 = Instant::now().checked_sub(INTERVAL).unwrap();
        assert_eq!(repeats.due("a"), Some(2));
    }
}
