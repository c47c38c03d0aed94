//! Decides which rows a change of a session's facts writes.
//!
//! Pure: facts in, effects out. Rows are never deleted or overwritten: a row that a smaller set of
//! facts may have written is superseded by a marker. The consumer of an event writes the canonical
//! start and pair only if they contain that event. It marks the starts and pairs that contain the
//! event or that the event supersedes. The model check of the markers shows that this suffices:
//! every other row is written for another event, which is delivered again after a crash.
//!
//! A session with many facts has many more pairs. Where one process alone adds facts and sees each
//! for the first time, it marks only the rows that were canonical before, and its own start: no
//! others exist.

use shared::{
    session::{Absorbed, Departed, Fact, SessionFacts, SessionKey, Start},
    store::Effect,
    timestamp::Timestamp,
};

/// Whether facts may have been handled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All of them are handled for the first time, by the only process that adds facts.
    First,
    /// They may be a repetition, or other processes handle facts of the session at the same time.
    Any,
}

impl Arrival {
    /// The arrival of facts with these outcomes in a store that only this process may write.
    #[must_use]
    pub fn of(absorbed: &[Absorbed], is_exclusive: bool) -> Self {
        match is_exclusive && absorbed.iter().all(|absorbed| *absorbed == Absorbed::New) {
            true => Self::First,
            false => Self::Any,
        }
    }
}

/// Returns the rows to write after `handled` were added to the `facts` of the session `key`.
///
/// The same `facts` and `handled` give the same effects, so a repetition writes only rows that
/// exist already. A session whose canonical start was removed by the retention gets markers only:
/// none of its other starts is canonical.
#[must_use]
pub fn decide(
    key: &SessionKey,
    facts: &SessionFacts,
    handled: &[Fact],
    arrival: Arrival,
) -> Vec<Effect> {
    // A fact that retention has removed counts as new when it is delivered again.
    match arrival {
        Arrival::First if facts.departed() == Departed::default() => changes(key, facts, handled),
        _ => repeatable(key, facts, handled),
    }
}

/// The rows that are canonical with the `handled` facts and were not without them, and markers of
/// those that no longer are. A start that is not canonical has a marker too, because its country is
/// known by it.
fn changes(key: &SessionKey, now: &SessionFacts, handled: &[Fact]) -> Vec<Effect> {
    let before = &now.without(handled);
    let mut effects = Vec::with_capacity(2);
    if before.start() != now.start() {
        effects.extend(now.start().map(|start| Effect::RecordStart(key.started(start))));
        effects.extend(before.start().map(|start| Effect::SupersedeStart(key.started(start))));
    }
    for fact in handled {
        if let Fact::Start(start) = fact
            && Some(start) != now.start()
        {
            effects.push(Effect::SupersedeStart(key.started(start)));
        }
    }
    let [before, now] = [before, now].map(|facts| facts.completed(key));
    if before != now {
        effects.extend(now.map(Effect::Complete));
        effects.extend(before.map(Effect::SupersedeCompleted));
    }
    effects
}

/// The rows of the canonical start and pair that contain a handled fact, and markers of all rows
/// that contain one or that it supersedes.
fn repeatable(key: &SessionKey, facts: &SessionFacts, handled: &[Fact]) -> Vec<Effect> {
    let canonical = facts.start();
    let pair = canonical.zip(facts.end());
    let mut effects = Vec::with_capacity(2);
    let is_start =
        |start: &Start| handled.iter().any(|fact| matches!(fact, Fact::Start(one) if one == start));
    let is_end = |end: Timestamp| handled.contains(&Fact::End(end));
    let recorded = canonical.filter(|start| is_start(start));
    effects.extend(recorded.map(|start| Effect::RecordStart(key.started(start))));
    let completed = pair.filter(|(start, end)| is_start(start) || is_end(*end));
    effects.extend(completed.map(|(start, end)| Effect::Complete(key.completed(start, end))));
    for other in facts.starts().iter().filter(|other| Some(*other) != canonical) {
        if handled.iter().any(|fact| decides_start(fact, other)) {
            effects.push(Effect::SupersedeStart(key.started(other)));
        }
    }
    let pairs = facts.starts().iter().flat_map(|start| {
        facts.ends().iter().filter(|end| **end >= start.ts).map(move |end| (start, *end))
    });
    for other in pairs.filter(|other| Some(*other) != pair) {
        if handled.iter().any(|fact| decides_pair(fact, other)) {
            effects.push(Effect::SupersedeCompleted(key.completed(other.0, other.1)));
        }
    }
    effects
}

/// Whether `fact` is the start `other`, or makes it not canonical.
fn decides_start(fact: &Fact, other: &Start) -> bool {
    matches!(fact, Fact::Start(start) if start <= other)
}

/// Whether `fact` is part of the pair, or makes it not canonical.
fn decides_pair(fact: &Fact, (start, end): (&Start, Timestamp)) -> bool {
    match fact {
        Fact::Start(fact) => fact <= start,
        Fact::End(fact) => (start.ts..=end).contains(fact),
    }
}

#[cfg(test)]
mod tests;
