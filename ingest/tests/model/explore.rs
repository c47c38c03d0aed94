//! Visits every reachable state of a world. Knows nothing of the meaning of a state.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
};

/// A small world: its initial state, its steps, and its invariants.
pub(crate) trait World {
    /// A complete description of one moment.
    type State: Copy + Debug;

    /// The initial state.
    fn first(&self) -> Self::State;

    /// The state as bits. Different states have different bits.
    fn packed(&self, state: &Self::State) -> u64;

    /// Adds every state that one step leads to.
    fn steps(&self, state: &Self::State, next: &mut Vec<Self::State>);

    /// The violated invariant, if any.
    fn fault(&self, state: &Self::State) -> Option<String>;
}

/// Returns the number of states, or the violation that takes the fewest steps.
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

/// Small numbers packed into one word.
#[derive(Default)]
pub(crate) struct Packed {
    word: u64,
    used: u32,
}

impl Packed {
    /// Adds a number below 2 to the power of `bits`.
    pub(crate) fn add(&mut self, number: u32, bits: u32) {
        assert!(
            number >> bits == 0 && self.used + bits <= u64::BITS,
            "the states of this world need more bits"
        );
        self.word |= u64::from(number) << self.used;
        self.used += bits;
    }

    pub(crate) fn word(&self) -> u64 {
        self.word
    }
}

/// Each bit of `set` on its own.
pub(crate) fn members(set: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).map(|bit| 1 << bit).filter(move |member| set & member != 0)
}

/// Every set that contains `least`, and any part of `more`.
pub(crate) fn between(least: u32, more: u32) -> impl Iterator<Item = u32> {
    let mut part = Some(more & !least);
    std::iter::from_fn(move || {
        let this = part?;
        part = (this != 0).then(|| (this - 1) & more & !least);
        Some(least | this)
    })
}
