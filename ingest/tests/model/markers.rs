//! Checks the real decision on sessions with conflicting facts. Handlers write their facts, read
//! back at least every acknowledged fact, and add the rows and markers of `decide`, one by one in
//! any order, with every interleaving. Zombies repeat a fact at any time and stop at any step.
//!
//! Invariant, once every fact was handled: the rows without a marker are the canonical ones. Starts
//! and completed sessions are checked separately. No step depends on existing rows, so neither
//! check hides a violation of the other.

use ingest::pairing::{Arrival, decide};
use shared::{
    event::{Country, SessionId, UserId},
    session::{Fact, SessionFacts, SessionKey, Start},
    store::Effect,
    timestamp::Timestamp,
};

use crate::explore::{Packed, World, between, explore, members};

/// Facts and rows are numbered; a set of them is a word with one bit each.
type Set = u32;

/// The maximum number of handlers, and of bits for the effects of one handler.
const HANDLERS: usize = 4;
const EFFECTS: u32 = 8;

/// The effects that a handler writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// All of them, like the consumer.
    Real,
    /// All of them except markers.
    NoMarkers,
    /// All of them except markers of rows that a handled fact only supersedes.
    OwnMarkers,
}

/// The rows that a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Starts,
    Completed,
}

struct Handler {
    /// The decisions for all facts that it may have read: rows in the low bits, markers above.
    decides: Vec<Set>,
    facts: Set,
    /// Whether it always finishes; a zombie may stop.
    finishes: bool,
}

struct Session {
    facts: Vec<Fact>,
    handlers: Vec<Handler>,
    /// Every row that any decision can write, in the order of their bits.
    rows: Vec<Effect>,
    canonical: Set,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Facts that are written or in flight.
    sent: Set,
    /// Facts that every read returns.
    acknowledged: Set,
    handling: [Handling; HANDLERS],
    /// Rows and markers, numbered as in the decisions of a handler.
    written: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handling {
    Begun,
    Sent,
    Acknowledged,
    /// These effects are not written yet.
    Writing(Set),
}

const FINISHED: Handling = Handling::Writing(0);

impl Session {
    /// One handler for each of `facts`, and zombies for some of them.
    fn new(listing: Listing, rule: Rule, facts: &[Fact], zombies: &[Fact]) -> Self {
        let every = (1 << facts.len()) - 1;
        let of = |set: Set| {
            facts
                .iter()
                .enumerate()
                .filter(move |(bit, _)| set & 1 << bit != 0)
                .map(|(_, fact)| fact)
        };
        let effects = |handled: &Fact, seen: Set| {
            let mut known = SessionFacts::default();
            for fact in of(seen) {
                known.absorb(fact);
            }
            let mut effects = decide(&key(), &known, std::slice::from_ref(handled), Arrival::Any);
            effects.retain(|effect| listing_of(effect) == listing && rule.allows(effect, handled));
            effects
        };
        let mut rows: Vec<_> = facts
            .iter()
            .flat_map(|fact| between(0, every).flat_map(move |seen| effects(fact, seen)))
            .map(row_of)
            .collect();
        rows.sort_unstable();
        rows.dedup();
        assert!(
            2 * rows.len() <= EFFECTS as usize && facts.len() + zombies.len() <= HANDLERS,
            "the session exceeds the bits of the model"
        );
        let bit = |effect: Effect| {
            let above = if is_marker(&effect) { rows.len() } else { 0 };
            let row = row_of(effect);
            1 << (above + rows.iter().position(|other| *other == row).unwrap())
        };
        let handler = |fact: &Fact, finishes: bool| Handler {
            decides: (0..=every)
                .map(|seen| effects(fact, seen).into_iter().map(bit).sum())
                .collect(),
            facts: 1 << facts.iter().position(|other| other == fact).unwrap(),
            finishes,
        };
        let mut handlers: Vec<_> = facts.iter().map(|fact| handler(fact, true)).collect();
        handlers.extend(zombies.iter().map(|fact| handler(fact, false)));
        let canonical =
            canonical(facts).into_iter().filter(|row| listing_of(row) == listing).map(bit).sum();
        Self { facts: facts.to_vec(), handlers, rows, canonical }
    }

    fn visible(&self, written: Set) -> Set {
        let rows = (1 << self.rows.len()) - 1;
        written & rows & !(written >> self.rows.len())
    }
}

impl World for Session {
    type State = State;

    fn first(&self) -> State {
        let handling = std::array::from_fn(|index| {
            if index < self.handlers.len() { Handling::Begun } else { FINISHED }
        });
        State { sent: 0, acknowledged: 0, handling, written: 0 }
    }

    fn packed(&self, state: &State) -> u64 {
        let mut packed = Packed::default();
        packed.add(state.sent, 4);
        packed.add(state.acknowledged, 4);
        packed.add(state.written, EFFECTS);
        for handling in state.handling {
            let (phase, left) = match handling {
                Handling::Begun => (0, 0),
                Handling::Sent => (1, 0),
                Handling::Acknowledged => (2, 0),
                Handling::Writing(left) => (3, left),
            };
            packed.add(phase, 2);
            packed.add(left, EFFECTS);
        }
        packed.word()
    }

    fn steps(&self, state: &State, next: &mut Vec<State>) {
        for (index, handler) in self.handlers.iter().enumerate() {
            let mut go_on = |handling: Handling, change: &dyn Fn(&mut State)| {
                let mut then = *state;
                then.handling[index] = handling;
                change(&mut then);
                next.push(then);
            };
            match state.handling[index] {
                Handling::Begun => go_on(Handling::Sent, &|then| then.sent |= handler.facts),
                Handling::Sent => {
                    go_on(Handling::Acknowledged, &|then| then.acknowledged |= handler.facts)
                }
                Handling::Acknowledged => {
                    for seen in between(state.acknowledged, state.sent) {
                        go_on(Handling::Writing(handler.decides[seen as usize]), &|_| {});
                    }
                }
                Handling::Writing(left) => {
                    for effect in members(left) {
                        go_on(Handling::Writing(left & !effect), &|then| then.written |= effect);
                    }
                }
            }
        }
    }

    fn fault(&self, state: &State) -> Option<String> {
        let mut handlers = self.handlers.iter().zip(state.handling);
        let handled = handlers.all(|(handler, handling)| !handler.finishes || handling == FINISHED);
        let visible = self.visible(state.written);
        (handled && visible != self.canonical).then(|| {
            let rows = self.rows.iter().enumerate().filter(|(bit, _)| visible & 1 << bit != 0);
            format!(
                "visible rows of {:?}: {:?}",
                self.facts,
                rows.map(|(_, row)| row).collect::<Vec<_>>()
            )
        })
    }
}

impl Rule {
    fn allows(self, effect: &Effect, handled: &Fact) -> bool {
        match self {
            Self::Real => true,
            Self::NoMarkers => !is_marker(effect),
            Self::OwnMarkers => match (effect, handled) {
                (Effect::SupersedeStart(row), Fact::Start(start)) => {
                    row.ts == start.ts && row.country == start.country
                }
                (Effect::SupersedeCompleted(row), Fact::Start(start)) => {
                    row.started_at == start.ts && row.country == start.country
                }
                (Effect::SupersedeCompleted(row), Fact::End(end)) => row.ended_at == *end,
                (Effect::SupersedeStart(_), Fact::End(_)) => false,
                (Effect::RecordStart(_) | Effect::Complete(_), _) => true,
            },
        }
    }
}

/// The canonical rows, stated independently: the smallest start, and the smallest end that is not
/// before it.
pub(crate) fn canonical(facts: &[Fact]) -> Vec<Effect> {
    let starts = facts
        .iter()
        .filter_map(|fact| if let Fact::Start(start) = fact { Some(start) } else { None });
    let Some(start) = starts.min_by_key(|start| (start.ts, start.country.clone())) else {
        return Vec::new();
    };
    let ends =
        facts.iter().filter_map(|fact| if let Fact::End(end) = fact { Some(*end) } else { None });
    let end = ends.filter(|end| *end >= start.ts).min();
    let mut rows = vec![Effect::RecordStart(key().started(start))];
    rows.extend(end.map(|end| Effect::Complete(key().completed(start, end))));
    rows
}

pub(crate) fn is_marker(effect: &Effect) -> bool {
    matches!(effect, Effect::SupersedeStart(_) | Effect::SupersedeCompleted(_))
}

/// The row itself, or the row that is marked.
pub(crate) fn row_of(effect: Effect) -> Effect {
    match effect {
        Effect::SupersedeStart(row) => Effect::RecordStart(row),
        Effect::SupersedeCompleted(row) => Effect::Complete(row),
        row => row,
    }
}

pub(crate) fn listing_of(effect: &Effect) -> Listing {
    match effect {
        Effect::RecordStart(_) | Effect::SupersedeStart(_) => Listing::Starts,
        Effect::Complete(_) | Effect::SupersedeCompleted(_) => Listing::Completed,
    }
}

pub(crate) fn key() -> SessionKey {
    SessionKey { user: UserId::new("u").unwrap(), session: SessionId::new("s").unwrap() }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn start_in(country: &str, ms: i64) -> Fact {
    Fact::Start(Start { ts: at(ms), country: Country::normalise(country) })
}

pub(crate) fn start(ms: i64) -> Fact {
    start_in("SK", ms)
}

pub(crate) fn end(ms: i64) -> Fact {
    Fact::End(at(ms))
}

/// Explores a session of `facts` and `zombies`, once for each kind of rows.
fn check(rule: Rule, facts: &[Fact], zombies: &[Fact]) -> Result<usize, String> {
    let states = [Listing::Starts, Listing::Completed]
        .map(|listing| explore(&Session::new(listing, rule, facts, zombies)));
    states.into_iter().sum()
}

fn assert_canonical(facts: &[Fact], zombies: &[Fact]) {
    let states = check(Rule::Real, facts, zombies);
    assert!(states.is_ok(), "{states:?}");
}

#[test]
fn two_starts_and_an_end() {
    assert_canonical(&[start(1), start(2), end(5)], &[]);
}

#[test]
fn two_starts_and_an_end_with_a_zombie_of_the_later_start() {
    assert_canonical(&[start(1), start(2), end(5)], &[start(2)]);
}

#[test]
fn a_start_and_two_ends_with_a_zombie_of_the_earlier_end() {
    assert_canonical(&[start(1), end(4), end(7)], &[end(4)]);
}

#[test]
fn an_end_between_two_starts_and_one_behind_them() {
    assert_canonical(&[start(1), start(6), end(4), end(8)], &[]);
}

#[test]
fn three_starts_and_an_end() {
    assert_canonical(&[start(1), start(2), start(3), end(5)], &[]);
}

#[test]
fn an_end_before_the_start_with_a_zombie_of_it() {
    assert_canonical(&[start(5), end(3)], &[end(3)]);
}

#[test]
fn a_start_in_two_countries_at_one_time_with_a_zombie_of_the_second() {
    assert_canonical(&[start_in("AT", 1), start_in("SK", 1), end(5)], &[start_in("SK", 1)]);
}

#[test]
fn control_without_markers_a_phantom_is_seen() {
    assert!(check(Rule::NoMarkers, &[start(1), start(2), end(5)], &[]).is_err());
    assert!(check(Rule::NoMarkers, &[start(1), end(4), end(7)], &[]).is_err());
}

#[test]
fn control_marking_only_rows_of_ones_own_leaves_a_phantom() {
    assert!(check(Rule::OwnMarkers, &[start(1), start(2), end(5)], &[]).is_err());
    assert!(check(Rule::OwnMarkers, &[start(1), end(4), end(7)], &[]).is_err());
}
