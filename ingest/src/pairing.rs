//! What a change of a session's facts writes.
//!
//! Pure: facts in, effects out. Rows are never deleted or overwritten; what a smaller set of facts may have written is
//! superseded by a marker. It is enough that the consumer of an event marks the starts and pairs that contain that event or
//! that it dominates (the model check of the markers shows it): every other row has another event that answers for it.

use shared::{
    session::{Fact, SessionFacts, SessionKey, Start},
    store::Effect,
    timestamp::Timestamp,
};

/// What has to be written after `handled`, which are among `facts`, were added to the facts of the session `key`.
///
/// The same facts and the same `handled` give the same effects, so a repetition can only repeat what is already true. A
/// session whose start has left with its year gives none.
#[must_use]
pub fn decide(key: &SessionKey, facts: &SessionFacts, handled: &[Fact]) -> Vec<Effect> {
    let Some(start) = facts.start() else { return Vec::new() };
    let end = facts.end();
    let mut effects = vec![Effect::RecordStart(key.started(start))];
    effects.extend(end.map(|end| Effect::Complete(key.completed(start, end))));
    if facts.starts().len() == 1 && facts.ends().len() <= 1 {
        return effects;
    }
    for other in facts.starts().iter().filter(|other| *other != start) {
        if handled.iter().any(|fact| answers_for_start(fact, other)) {
            effects.push(Effect::SupersedeStart(key.started(other)));
        }
    }
    let pairs = facts
        .starts()
        .iter()
        .flat_map(|start| facts.ends().iter().filter(|end| **end >= start.ts).map(move |end| (start, *end)));
    for pair in pairs.filter(|pair| Some(*pair) != end.map(|end| (start, end))) {
        if handled.iter().any(|fact| answers_for_pair(fact, pair)) {
            effects.push(Effect::SupersedeCompleted(key.completed(pair.0, pair.1)));
        }
    }
    effects
}

/// Whether `fact` is the start `other`, or is why it is not canonical.
fn answers_for_start(fact: &Fact, other: &Start) -> bool {
    matches!(fact, Fact::Start(start) if start <= other)
}

/// Whether `fact` is one of the pair, or is why the pair is not canonical.
fn answers_for_pair(fact: &Fact, (start, end): (&Start, Timestamp)) -> bool {
    match fact {
        Fact::Start(fact) => fact <= start,
        Fact::End(fact) => (start.ts..=end).contains(fact),
    }
}

#[cfg(test)]
mod tests;
