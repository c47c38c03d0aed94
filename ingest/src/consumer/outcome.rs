//! The outcomes that are counted for a fact and a session once all facts of the session are known.

use shared::{
    session::{Absorbed, Fact, SessionFacts},
    store::{Known, Sighting},
};

use crate::metrics::Handled;

/// Returns the outcome of one fact, given all facts of its session.
pub(super) fn outcome_of(facts: &SessionFacts, fact: &Fact, absorbed: Absorbed) -> Handled {
    match absorbed {
        Absorbed::Known => return Handled::Duplicate,
        Absorbed::Contested => return Handled::DeadLettered,
        Absorbed::New => {}
    }
    let is_kept = match fact {
        Fact::Start(start) => facts.starts().contains(start),
        Fact::End(ts) => facts.ends().contains(ts),
    };
    if facts.departed().start || !is_kept {
        return Handled::Expired;
    }
    match (fact, facts.start(), facts.end()) {
        (Fact::Start(fact), Some(start), end) if fact == start => {
            if end.is_some() {
                Handled::Paired
            } else {
                Handled::Open
            }
        }
        (Fact::End(fact), Some(_), Some(end)) if *fact == end => Handled::Paired,
        (Fact::End(fact), None, _) if facts.ends().first() == Some(fact) => Handled::Orphan,
        _ => Handled::Superseded,
    }
}

/// Whether the new facts of this sighting completed the session.
pub(super) fn became_complete(sighting: &Sighting, known: &Known) -> bool {
    if known.facts.end().is_none() {
        return false;
    }
    let new = |fact: &Fact| {
        sighting
            .facts
            .iter()
            .zip(&known.absorbed)
            .any(|(one, state)| one == fact && *state == Absorbed::New)
    };
    let earlier_starts =
        known.facts.starts().iter().filter(|start| !new(&Fact::Start((*start).clone()))).cloned();
    let earlier_ends = known.facts.ends().iter().filter(|end| !new(&Fact::End(**end))).copied();
    SessionFacts::new(earlier_starts.collect(), earlier_ends.collect(), known.facts.departed())
        .end()
        .is_none()
}

#[cfg(test)]
mod tests {
    use shared::{session::Departed, timestamp::Timestamp};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    /// A fact may expire between its append and its write.
    #[test]
    fn a_new_fact_that_is_not_among_the_facts_has_expired() {
        let end_left = Departed { start: false, end: true };
        let facts = SessionFacts::new(Vec::new(), vec![at(9)], end_left);
        assert_eq!(outcome_of(&facts, &Fact::End(at(1)), Absorbed::New), Handled::Expired);
        assert_eq!(outcome_of(&facts, &Fact::End(at(9)), Absorbed::New), Handled::Orphan);
        assert_eq!(outcome_of(&facts, &Fact::End(at(1)), Absorbed::Known), Handled::Duplicate);
    }
}
