//! Recognises dead letters that a replay writes again, for their counter. Every letter is written,
//! repeated or not.

use shared::telemetry::Repeats;
use tokio::sync::Mutex;

use crate::log::{DeadLetter, Log, NewestLetters};

/// The letters that were written before the present assignment.
#[derive(Debug, Default)]
pub(super) struct KnownLetters {
    known: Mutex<Option<Known>>,
    repeats: Repeats,
}

#[derive(Debug)]
struct Known {
    /// The number of rebalances when they were read. A replay begins with a rebalance or a start.
    rebalances: u64,
    newest: NewestLetters,
}

impl KnownLetters {
    /// Whether the record of each letter had a letter already. Reads the latest letters of `log`
    /// before the first letter of an assignment.
    pub(super) async fn repeated(&self, log: &Log, letters: &[DeadLetter]) -> Vec<bool> {
        let mut known = self.known.lock().await;
        let rebalances = log.rebalances();
        if known.as_ref().is_none_or(|known| known.rebalances != rebalances) {
            let newest = log.newest_letters().await.unwrap_or_else(|error| {
                if let Some(suppressed) = self.repeats.due("unreadable") {
                    tracing::warn!(
                        %error,
                        suppressed,
                        "the latest dead letters cannot be read; repeated ones are counted as new"
                    );
                }
                NewestLetters::default()
            });
            if newest.is_partial
                && let Some(suppressed) = self.repeats.due("partial")
            {
                tracing::warn!(
                    suppressed,
                    "the latest dead letters were read only in part (at most 16 MiB within 5 s, and no partition without a leader); \
                     some repeated ones are counted as new"
                );
            }
            *known = Some(Known { rebalances, newest });
        }
        let is_repeated = |letter| {
            let origin = log.origin(letter);
            known.as_ref().zip(origin).is_some_and(|(known, origin)| known.newest.has(origin))
        };
        letters.iter().map(is_repeated).collect()
    }
}
