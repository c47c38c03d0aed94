//! Generated lines, in any order.

use std::{path::Path, process::Command};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::service::BOOKEND;

/// The default end of generated data, and the clock of a service that loads it.
pub(crate) const ENDING_AT: &str = "2016-12-02T15:00:00Z";

/// The root of the repository.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The lines of `bookend generate --ending-at` [`ENDING_AT`].
pub(crate) fn generate(profile: &str, sessions: u32, seed: u64) -> Vec<Vec<u8>> {
    generate_with(&[], profile, sessions, seed)
}

/// The same with more flags.
pub(crate) fn generate_with(
    more: &[&str],
    profile: &str,
    sessions: u32,
    seed: u64,
) -> Vec<Vec<u8>> {
    let mut command = Command::new(BOOKEND);
    command
        .env_clear()
        .args(["generate", "--profile", profile, "--ending-at", ENDING_AT])
        .args(more);
    command.args(["--sessions", &sessions.to_string(), "--seed", &seed.to_string()]);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    lines(&made.stdout)
}

/// Splits `text` into lines without newlines.
pub(crate) fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Joins lines to a body.
pub(crate) fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// Random numbers that are the same in every run.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit.max(1) as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
