//! Random draws that are the same on every machine and in every version: a `ChaCha` stream and
//! integer arithmetic.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// The purpose of a stream of draws. Streams are independent: an additional draw from one does not
/// change another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Users,
    Sessions,
    Order,
    Spellings,
    Extras,
    Repetitions,
}

/// One stream of draws.
#[derive(Debug)]
pub(super) struct Draw(ChaCha8Rng);

/// Ranks by Zipf's law: the second is half as frequent as the first, the third a third as frequent.
#[derive(Debug)]
pub(super) struct Ranks(Vec<u64>);

impl Draw {
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream as u64);
        Self(rng)
    }

    /// 128 random bits.
    pub(super) fn bits(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }

    /// A number below `end`, which must not be 0. The bias is less than `end` in 2^64, so
    /// negligible.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as u32
    }

    /// A number from `least` to `most`, inclusive.
    pub(super) fn within(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    /// Shuffles `items`.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(u32::try_from(last + 1).unwrap_or(u32::MAX));
            items.swap(last, other as usize);
        }
    }

    /// A rank from 0.
    pub(super) fn rank(&mut self, ranks: &Ranks) -> usize {
        let all = ranks.0.last().copied().unwrap_or_default();
        let point = (u128::from(self.0.next_u64()) * u128::from(all)) >> 64;
        ranks.0.partition_point(|&below| u128::from(below) <= point)
    }
}

impl Ranks {
    /// The ranks from 0 to below `end`.
    pub(super) fn new(end: usize) -> Self {
        let mut sum = 0;
        Self(
            (1..=end as u64)
                .map(|rank| {
                    sum += (1 << 32) / rank;
                    sum
                })
                .collect(),
        )
    }
}
