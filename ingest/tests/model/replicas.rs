//! Checks a start and its end, handled by two consumers on a store of three replicas. Writes reach
//! the replicas one by one with any delay, reads query one replica after another, and a zombie may
//! repeat a start at any time and stop at any step.
//!
//! Invariant: when both consumers have finished, one of them has read both events and completed the
//! session. Each check includes the number of states. An independent program in another language
//! finds as many; fewer would mean that a step is missing.

use crate::explore::{Packed, World, between, explore, members};

const REPLICAS: u32 = 0b111;
const START: u32 = 0b01;
const END: u32 = 0b10;
const BOTH: u32 = START | END;

/// The number of replicas that are awaited.
const ONE: u32 = 1;
const QUORUM: u32 = 2;
const ALL: u32 = 3;

/// The steps of a consumer with an event, in this order. Afterwards it decides on the events read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Sends the event to every replica and waits for the acknowledgements.
    Write,
    /// Sends the event to every replica without waiting.
    Send,
    /// Waits for the acknowledgements of the events sent.
    Await,
    /// Reads the facts of the session.
    Read,
}

/// A protocol for handling events.
struct Protocol {
    start: &'static [Act],
    end: &'static [Act],
    /// The number of acknowledgements that a write waits for.
    write: u32,
    /// The number of replicas that a read queries.
    read: u32,
}

const WRITE_THEN_READ: &[Act] = &[Act::Write, Act::Read];

/// One handling of one event.
struct Handler {
    event: u32,
    /// Whether it always finishes; a zombie may stop at any step.
    finishes: bool,
}

struct Replicated {
    protocol: Protocol,
    handlers: Vec<Handler>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The events on each replica.
    held: [u32; 3],
    handling: [Handling; 3],
    completed: bool,
}

/// The progress of a handler.
#[derive(Clone, Copy, Debug, Default)]
struct Handling {
    /// The number of steps completed; one more after the decision.
    done: usize,
    /// The replicas that its write has reached.
    reached: u32,
    /// The replicas that its read must still query, once it has chosen them.
    unread: Option<u32>,
    /// The events read.
    seen: u32,
}

impl Replicated {
    fn acts(&self, handler: &Handler) -> &'static [Act] {
        if handler.event == START { self.protocol.start } else { self.protocol.end }
    }

    /// Adds every state in which handler `index`, or its write, is one step further.
    fn step(&self, index: usize, state: &State, next: &mut Vec<State>) {
        let (handler, handling) = (&self.handlers[index], state.handling[index]);
        let acts = self.acts(handler);
        let sent =
            acts.iter().take(handling.done + 1).any(|act| matches!(act, Act::Write | Act::Send));
        if sent {
            for (replica, held) in state.held.into_iter().enumerate() {
                if handling.reached & 1 << replica == 0 {
                    let mut then = *state;
                    then.held[replica] = held | handler.event;
                    then.handling[index].reached |= 1 << replica;
                    next.push(then);
                }
            }
        }
        let mut go_on = |handling: Handling, completed: bool| {
            let mut then = *state;
            then.handling[index] = handling;
            then.completed = completed;
            next.push(then);
        };
        let behind = Handling { done: handling.done + 1, unread: None, ..handling };
        match (acts.get(handling.done), handling.unread) {
            (None, _) if handling.done > acts.len() => {}
            (None, _) => go_on(behind, state.completed || handling.seen == BOTH),
            (Some(Act::Send), _) => go_on(behind, state.completed),
            (Some(Act::Write | Act::Await), _) => {
                if handling.reached.count_ones() >= self.protocol.write {
                    go_on(behind, state.completed);
                }
            }
            (Some(Act::Read), None) => {
                for chosen in
                    between(0, REPLICAS).filter(|chosen| chosen.count_ones() == self.protocol.read)
                {
                    go_on(Handling { unread: Some(chosen), ..handling }, state.completed);
                }
            }
            (Some(Act::Read), Some(0)) => go_on(behind, state.completed),
            (Some(Act::Read), Some(unread)) => {
                for replica in members(unread) {
                    let seen = handling.seen | state.held[replica.trailing_zeros() as usize];
                    go_on(
                        Handling { unread: Some(unread & !replica), seen, ..handling },
                        state.completed,
                    );
                }
            }
        }
    }
}

impl World for Replicated {
    type State = State;

    fn first(&self) -> State {
        State { held: [0; 3], handling: [Handling::default(); 3], completed: false }
    }

    fn packed(&self, state: &State) -> u64 {
        let mut packed = Packed::default();
        packed.add(state.completed.into(), 1);
        for held in state.held {
            packed.add(held, 2);
        }
        for handling in state.handling {
            packed.add(handling.done as u32, 3);
            packed.add(handling.reached, 3);
            packed.add(handling.unread.map_or(0, |unread| unread + 1), 4);
            packed.add(handling.seen, 2);
        }
        packed.word()
    }

    fn steps(&self, state: &State, next: &mut Vec<State>) {
        for index in 0..self.handlers.len() {
            self.step(index, state, next);
        }
    }

    fn fault(&self, state: &State) -> Option<String> {
        let mut handlers =
            self.handlers.iter().zip(&state.handling).filter(|(handler, _)| handler.finishes);
        let finished = handlers.all(|(handler, handling)| handling.done > self.acts(handler).len());
        (finished && !state.completed).then(|| "a session is never completed".to_owned())
    }
}

/// The two events of a session, each handled once.
fn once_each() -> Vec<Handler> {
    vec![Handler { event: START, finishes: true }, Handler { event: END, finishes: true }]
}

fn check(acts: &'static [Act], write: u32, read: u32) -> Result<usize, String> {
    let protocol = Protocol { start: acts, end: acts, write, read };
    explore(&Replicated { protocol, handlers: once_each() })
}

#[test]
fn writing_then_reading_at_a_quorum_loses_no_session() {
    assert_eq!(check(WRITE_THEN_READ, QUORUM, QUORUM), Ok(7_047));
}

#[test]
fn nor_does_it_when_a_zombie_repeats_the_start() {
    let protocol =
        Protocol { start: WRITE_THEN_READ, end: WRITE_THEN_READ, write: QUORUM, read: QUORUM };
    let mut handlers = once_each();
    handlers.push(Handler { event: START, finishes: false });
    let states = explore(&Replicated { protocol, handlers });
    assert_eq!(states, Ok(606_357));
}

#[test]
fn any_two_quorums_that_overlap_are_enough() {
    assert_eq!(check(WRITE_THEN_READ, ALL, ONE), Ok(309));
    assert_eq!(check(WRITE_THEN_READ, ONE, ALL), Ok(26_557));
}

#[test]
fn control_one_replica_on_either_side_loses_sessions() {
    for (write, read) in [(ONE, ONE), (QUORUM, ONE), (ONE, QUORUM)] {
        assert!(check(WRITE_THEN_READ, write, read).is_err(), "{write} written, {read} read");
    }
}

#[test]
fn control_reading_before_writing_loses_sessions() {
    assert!(check(&[Act::Read, Act::Write], QUORUM, QUORUM).is_err());
}

#[test]
fn control_reading_without_awaiting_the_write_loses_sessions() {
    assert!(check(&[Act::Send, Act::Read, Act::Await], QUORUM, QUORUM).is_err());
}

#[test]
fn control_reading_only_where_an_end_is_handled_loses_sessions() {
    let protocol =
        Protocol { start: &[Act::Write], end: WRITE_THEN_READ, write: QUORUM, read: QUORUM };
    assert!(explore(&Replicated { protocol, handlers: once_each() }).is_err());
}
