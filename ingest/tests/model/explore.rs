//! Visits every state that a world can come into. For the models; knows nothing of what a state
//! means.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
};

/// A small world: where it begins, what can happen next, and what must never be.
pub(crate) trait World {
    /// All that distinguishes one moment from another.
    type State: Copy + Debug;

    /// How everything begins.
    fn first(&self) -> Self::State;

    /// The state in bits. Two states may have the same only if they are the same.
    fn packed(&self, state: &Self::State) -> u64;

    /// Adds every state that one step of anybody can lead to.
    fn steps(&self, state: &Self::State, next: &mut Vec<Self::State>);

    /// What is wrong with this state, if anything is.
    fn fault(&self, state: &Self::State) -> Option<String>;
}

/// How many states there are, or the nearest one that is wrong.
pub(crate) fn explore<W: World>(world: &W) -> Result<usize, String> {
    let first = world.first();
    let mut known = HashSet::from([world.packed(&first)]);
    let mut waiting = VecDeque::from([first]);
    let mut next = Vec::new();
    while let Some(state) = waiting.pop_front() {
        if let Some(fault) = world.fault(&state) {
            return Err(format!("{fault}: {state:?}"));
        }
        world.steps(&state, &mut next);
        for state in next.drain(..) {
            if known.insert(world.packed(&state)) {
                waiting.push_back(state);
            }
        }
    }
    Ok(known.len())
}

/// Small numbers side by side in one word.
#[derive(Default)]
pub(crate) struct Packed {
    word: u64,
    used: u32,
}

impl Packed {
    /// Adds a number that is below 2 to the power of `bits`.
    pub(crate) fn add(&mut self, number: u32, bits: u32) {
        assert!(
            number >> bits == 0 && self.used + bits <= u64::BITS,
            "the states of this world need more room"
        );
        self.word |= u64::from(number) << self.used;
        self.used += bits;
    }

    pub(crate) fn word(&self) -> u64 {
        self.word
    }
}

/// Each bit of `set` alone.
pub(crate) fn members(set: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).map(|bit| 1 << bit).filter(move |member| set & member != 0)
}

/// Every set that has all of `least`, and of `more` anything from nothing to everything.
pub(crate) fn between(least: u32, more: u32) -> impl Iterator<Item = u32> {
    let mut part = Some(more & !least);
    std::iter::from_fn(move || {
        let this = part?;
        part = (this != 0).then(|| (this - 1) & more & !least);
        Some(least | this)
    })
}
