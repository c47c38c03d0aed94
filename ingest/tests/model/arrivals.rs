//! Checks the real decision where one process alone adds facts. It handles the records of its log
//! in order, several at a time; adding a fact and reading its session is one step. Facts that are
//! new mark only the rows that were canonical before. A crash loses what is in flight, and any end
//! of the engine's journal that was not made durable. All records after the committed offset are
//! then handled again, and what was added counts as a repetition.
//!
//! Invariant, once every record was handled: the rows without a marker are the canonical ones.

use ingest::pairing::{Arrival, decide};
use shared::{
    session::{Absorbed, Fact, SessionFacts},
    store::Effect,
};

use crate::{
    explore::{Packed, World, explore, members},
    markers::{Listing, canonical, end, is_marker, key, listing_of, row_of, start},
};

/// Facts, rows and records are numbered; a set of them is a word with one bit each.
type Set = u32;

/// The maximum number of records, and of bits for rows and markers.
const RECORDS: usize = 4;
const EFFECTS: u32 = 8;
/// The number of crashes.
const CRASHES: u32 = 2;

/// How the arrival of a fact is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Like the consumer.
    Real,
    /// Every fact as if it were handled for the first time.
    AlwaysFirst,
    /// Like the consumer, without the markers of facts that are new.
    NewWithoutMarkers,
}

struct Log {
    /// The number of the fact in each record.
    records: Vec<usize>,
    /// The effects of a fact that is added to a set of facts: rows in the low bits, markers above.
    new: Vec<Vec<Set>>,
    /// The effects of a fact that is already in a set of facts.
    known: Vec<Vec<Set>>,
    rows: usize,
    canonical: Set,
}

/// What the engine holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    facts: Set,
    written: Set,
}

#[derive(Clone, Copy, Debug)]
struct State {
    held: Held,
    /// A durable state to which a crash may return.
    durable: Held,
    /// Records before this are committed: their rows were durable.
    committed: usize,
    /// The next record to handle.
    next: usize,
    /// For each record, the effects that are not written yet.
    left: [Set; RECORDS],
    crashes: u32,
}

impl Log {
    fn new(listing: Listing, rule: Rule, facts: &[Fact], records: &[usize]) -> Self {
        let every = 1 << facts.len();
        let of = |set: Set| {
            let mut all = SessionFacts::default();
            for (bit, fact) in facts.iter().enumerate() {
                if set & 1 << bit != 0 {
                    all.absorb(fact);
                }
            }
            all
        };
        let effects = |fact: usize, set: Set, absorbed: Absorbed| -> Vec<Effect> {
            let arrival = match rule {
                Rule::AlwaysFirst => Arrival::First,
                _ => Arrival::of(&[absorbed], true),
            };
            let mut effects = decide(&key(), &of(set | 1 << fact), &facts[fact..=fact], arrival);
            let is_bare = rule == Rule::NewWithoutMarkers && absorbed == Absorbed::New;
            effects
                .retain(|effect| listing_of(effect) == listing && !(is_bare && is_marker(effect)));
            effects
        };
        let all = |absorbed: Absorbed| -> Vec<Vec<Vec<Effect>>> {
            let of_fact = |fact| (0..every).map(|set| effects(fact, set, absorbed)).collect();
            (0..facts.len()).map(of_fact).collect()
        };
        let (new, known) = (all(Absorbed::New), all(Absorbed::Known));
        let mut rows: Vec<_> =
            new.iter().chain(&known).flatten().flatten().cloned().map(row_of).collect();
        rows.sort_unstable();
        rows.dedup();
        assert!(
            2 * rows.len() <= EFFECTS as usize && records.len() <= RECORDS,
            "the log exceeds the bits of the model"
        );
        let bit = |effect: Effect| -> Set {
            let above = if is_marker(&effect) { rows.len() } else { 0 };
            let row = row_of(effect);
            1 << (above + rows.iter().position(|other| *other == row).unwrap())
        };
        let bits = |all: Vec<Vec<Vec<Effect>>>| -> Vec<Vec<Set>> {
            let of_set = |effects: Vec<Effect>| effects.into_iter().map(bit).sum();
            all.into_iter().map(|of_fact| of_fact.into_iter().map(of_set).collect()).collect()
        };
        let expected =
            canonical(facts).into_iter().filter(|row| listing_of(row) == listing).map(bit).sum();
        let (new, known, count) = (bits(new), bits(known), rows.len());
        Self { records: records.to_vec(), new, known, rows: count, canonical: expected }
    }
}

impl World for Log {
    type State = State;

    fn first(&self) -> State {
        let nothing = Held { facts: 0, written: 0 };
        State {
            held: nothing,
            durable: nothing,
            committed: 0,
            next: 0,
            left: [0; RECORDS],
            crashes: 0,
        }
    }

    fn packed(&self, state: &State) -> u64 {
        let mut packed = Packed::default();
        for Held { facts, written } in [state.held, state.durable] {
            packed.add(facts, 4);
            packed.add(written, EFFECTS);
        }
        packed.add(state.committed as u32, 3);
        packed.add(state.next as u32, 3);
        for left in state.left.iter().take(self.records.len()) {
            packed.add(*left, EFFECTS);
        }
        packed.add(state.crashes, 2);
        packed.word()
    }

    fn steps(&self, state: &State, next: &mut Vec<State>) {
        if let Some(fact) = self.records.get(state.next) {
            let mut then = *state;
            let bit = 1 << fact;
            let decided = if state.held.facts & bit == 0 { &self.new } else { &self.known };
            then.left[state.next] = decided[*fact][state.held.facts as usize];
            then.held.facts |= bit;
            then.next += 1;
            next.push(then);
        }
        for (record, left) in state.left.iter().enumerate() {
            for effect in members(*left) {
                let mut then = *state;
                then.held.written |= effect;
                then.left[record] &= !effect;
                next.push(then);
            }
        }
        // The engine may write its journal to the disk at any time.
        if state.durable != state.held {
            next.push(State { durable: state.held, ..*state });
        }
        // An offset is committed once everything before it is durable.
        let done = state.left.iter().take_while(|left| **left == 0).count().min(state.next);
        if done > state.committed && state.durable == state.held {
            next.push(State { committed: done, ..*state });
        }
        if state.crashes < CRASHES {
            for held in [state.held, state.durable] {
                next.push(State {
                    held,
                    durable: held,
                    next: state.committed,
                    left: [0; RECORDS],
                    crashes: state.crashes + 1,
                    ..*state
                });
            }
        }
    }

    fn fault(&self, state: &State) -> Option<String> {
        let done = state.next == self.records.len() && state.left.iter().all(|left| *left == 0);
        let rows = (1 << self.rows) - 1;
        let visible = state.held.written & rows & !(state.held.written >> self.rows);
        (done && visible != self.canonical).then(|| format!("visible rows {visible:b}"))
    }
}

/// Explores a log of `records`, each of which has one of `facts`, once for each kind of rows.
fn check(rule: Rule, facts: &[Fact], records: &[usize]) -> Result<usize, String> {
    let states = [Listing::Starts, Listing::Completed]
        .map(|listing| explore(&Log::new(listing, rule, facts, records)));
    states.into_iter().sum()
}

/// Facts of which each supersedes one before it.
fn falling() -> [Vec<Fact>; 2] {
    [vec![start(3), start(2), start(1)], vec![start(1), end(9), end(8), end(7)]]
}

/// Others.
fn mixed() -> [Vec<Fact>; 3] {
    [
        vec![start(2), start(1), end(5)],
        vec![start(1), end(7), end(4)],
        vec![end(4), start(6), start(1)],
    ]
}

#[test]
fn facts_in_every_order_with_a_repetition() {
    for facts in mixed() {
        for records in [[0, 1, 2, 0], [0, 2, 1, 1], [1, 0, 2, 0], [2, 1, 0, 2]] {
            let states = check(Rule::Real, &facts, &records);
            assert!(states.is_ok(), "{facts:?} {records:?}: {states:?}");
        }
    }
}

#[test]
fn facts_each_of_which_supersedes_one_before_it() {
    for facts in falling() {
        let records: Vec<_> = (0..facts.len()).collect();
        let states = check(Rule::Real, &facts, &records);
        assert!(states.is_ok(), "{facts:?}: {states:?}");
    }
}

#[test]
fn control_a_repetition_that_counts_as_new_leaves_a_phantom() {
    for facts in falling() {
        let records: Vec<_> = (0..facts.len()).collect();
        assert!(check(Rule::AlwaysFirst, &facts, &records).is_err(), "{facts:?}");
    }
}

#[test]
fn control_without_markers_of_what_was_canonical_a_phantom_is_seen() {
    for facts in falling() {
        let records: Vec<_> = (0..facts.len()).collect();
        assert!(check(Rule::NewWithoutMarkers, &facts, &records).is_err(), "{facts:?}");
    }
}
