//! Reports users with more sessions than a page of open sessions or orphans can sort by time.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use prometheus::IntCounter;
use shared::event::UserId;

/// The number of users that are logged. Further ones are only counted.
const LOGGED: usize = 100;

/// Counts pages in the order of session ids, and logs each of their users once.
#[derive(Debug)]
pub(crate) struct LongHistories {
    pages: IntCounter,
    logged: Mutex<HashSet<String>>,
}

impl LongHistories {
    pub(crate) fn new(pages: IntCounter) -> Self {
        Self { pages, logged: Mutex::default() }
    }

    /// Reports a page in the order of session ids, because `user` has more than `most` sessions.
    pub(crate) fn report(&self, user: &UserId, most: usize) {
        self.pages.inc();
        let mut logged = self.logged.lock();
        // Anyone may choose an id, so the log has none; an operator can compute the hash of one.
        let user_hash = hash(user);
        if logged.len() < LOGGED && logged.insert(user_hash.clone()) {
            tracing::warn!(
                user_hash,
                "a user has more than {most} sessions, so open sessions and orphans are listed in the order of their ids; see \"Limits\" in the operations manual"
            );
        }
    }
}

/// The first 16 hexadecimal digits of the SHA-256 hash of the id.
fn hash(user: &UserId) -> String {
    let hash = digest(&SHA256, user.as_str().as_bytes());
    hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s player-42 | sha256sum | cut -c 1-16`
    #[test]
    fn the_hash_is_what_an_operator_computes_with_sha256sum() {
        assert_eq!(hash(&UserId::new("player-42").unwrap()), "c3214538d133c9d9");
    }

    #[test]
    fn every_page_is_counted_and_each_user_is_logged_once() {
        let long = LongHistories::new(IntCounter::new("pages", "pages").unwrap());
        for number in 0..2 * LOGGED {
            let user = UserId::new(&format!("u{number}")).unwrap();
            long.report(&user, 3);
            long.report(&user, 3);
        }
        assert_eq!(long.pages.get(), 4 * LOGGED as u64);
        assert_eq!(long.logged.lock().len(), LOGGED);
    }
}
