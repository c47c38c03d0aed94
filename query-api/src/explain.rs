//! Explains the status and the times of a session in one sentence, by the canonical rule.
//!
//! Events that are older than the retention are neither shown nor counted. So the sentence does not
//! depend on whether the store has removed them already.

use serde::Serialize;
use shared::{
    event::{Country, SessionId, UserId},
    http::openapi::EventKind,
    session::{CompletedSession, SessionFacts, SessionKey, Start, Status},
    timestamp::Timestamp,
};
use utoipa::ToSchema;

/// The stored events of a session, and the session that they make.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionExplanation)]
pub(crate) struct Explanation {
    user_id: UserId,
    session_id: SessionId,
    status: Status,
    /// The stored events, ordered by time; a start comes before an end of the same instant.
    facts: Vec<ShownFact>,
    /// The session, if it is complete.
    #[schema(required)]
    session: Option<CompletedSession>,
    /// The reason for the status and the times, as a sentence for people.
    why: String,
}

/// One stored event of the session.
// Ordered by time; a start comes before an end of the same instant.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(as = Fact)]
struct ShownFact {
    #[serde(skip)]
    order: (Timestamp, bool),
    #[schema(value_type = EventKind)]
    kind: Kind,
    ts: Timestamp,
    /// The country, which only a start has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    country: Option<Country>,
}

/// The kind of a stored event.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Start,
    End,
}

/// Explains the session `key`; `None` without stored events or after the retention has ended.
pub(crate) fn explain(
    key: SessionKey,
    mut facts: SessionFacts,
    horizon: Timestamp,
) -> Option<Explanation> {
    let status = facts.status(horizon)?;
    // With a start this old the session would have expired, so this removes only ends.
    facts.forget_before(horizon);
    Some(Explanation {
        status,
        facts: shown(&facts),
        session: facts.completed(&key),
        why: why(&facts),
        user_id: key.user,
        session_id: key.session,
    })
}

fn shown(facts: &SessionFacts) -> Vec<ShownFact> {
    let starts = facts.starts().iter().map(|start| ShownFact {
        order: (start.ts, false),
        kind: Kind::Start,
        ts: start.ts,
        country: Some(start.country.clone()),
    });
    let ends = facts.ends().iter().map(|end| ShownFact {
        order: (*end, true),
        kind: Kind::End,
        ts: *end,
        country: None,
    });
    let mut shown: Vec<_> = starts.chain(ends).collect();
    shown.sort_unstable();
    shown
}

fn why(facts: &SessionFacts) -> String {
    let Some(start) = facts.start() else { return why_orphan(facts.ends()) };
    let began = why_start(start, facts.starts());
    match facts.end() {
        Some(end) => {
            let before = facts.ends().partition_point(|end| *end < start.ts);
            let ended = why_end(end, before, facts.ends().len() - before);
            format!("The session is complete because {began} and {ended}.")
        }
        None => match facts.ends() {
            [] => format!("The session is open because {began} and no end of it is known."),
            [end] => {
                format!(
                    "The session is open because {began} and its only known end, at {end}, is \
                     earlier."
                )
            }
            ends => {
                format!(
                    "The session is open because {began} and all {} known ends are earlier.",
                    ends.len()
                )
            }
        },
    }
}

fn why_start(start: &Start, starts: &[Start]) -> String {
    let Start { ts, country } = start;
    if starts.len() == 1 {
        return format!("it started at {ts} in {country}");
    }
    let tied = starts.iter().filter(|other| other.ts == *ts).count() > 1;
    let tie = if tied { ", the first of them by country," } else { "" };
    format!("the earliest of its {} starts{tie} is the one at {ts} in {country}", starts.len())
}

/// `before` ends are earlier than the start, `after` are not.
fn why_end(end: Timestamp, before: usize, after: usize) -> String {
    let ended = if after == 1 {
        format!("it ended at {end}")
    } else {
        format!("the earliest of the {after} ends that follow is the one at {end}")
    };
    match before {
        0 => ended,
        1 => format!("{ended}; 1 end before the start does not count"),
        _ => format!("{ended}; {before} ends before the start do not count"),
    }
}

fn why_orphan(ends: &[Timestamp]) -> String {
    match ends {
        [end] => format!(
            "The session is an orphan because it ended at {end} and no start of it is known."
        ),
        // An orphan always has an end; without one, there is no session to explain.
        ends => {
            let end = ends.first().copied().unwrap_or_default();
            format!(
                "The session is an orphan because the earliest of its {} ends is the one at {end} \
                 and no start of it is known.",
                ends.len()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::session::Departed;

    use super::*;

    /// Times are in seconds after noon; a start has its country.
    fn why_of(starts: &[(i64, &str)], ends: &[i64]) -> String {
        explained(starts, ends, Departed::default()).unwrap().why
    }

    fn explained(starts: &[(i64, &str)], ends: &[i64], departed: Departed) -> Option<Explanation> {
        let noon = Timestamp::parse("2019-05-12T12:00:00Z").unwrap();
        let start = |(at, country): &(i64, &str)| Start {
            ts: noon + at * 1_000,
            country: Country::normalise(country),
        };
        let starts = starts.iter().map(start).collect();
        let ends = ends.iter().map(|at| noon + at * 1_000).collect();
        let key =
            SessionKey { user: UserId::new("u").unwrap(), session: SessionId::new("s").unwrap() };
        explain(key, SessionFacts::new(starts, ends, departed), noon)
    }

    #[test]
    fn a_start_and_an_end_make_a_session_complete() {
        assert_eq!(
            why_of(&[(0, "SK")], &[5]),
            "The session is complete because it started at 2019-05-12T12:00:00Z in SK and it \
             ended at 2019-05-12T12:00:05Z."
        );
    }

    #[test]
    fn the_earliest_of_several_starts_and_following_ends_counts() {
        assert_eq!(
            why_of(&[(3, "SK"), (2, "DE")], &[1, 5, 9]),
            "The session is complete because the earliest of its 2 starts is the one at \
             2019-05-12T12:00:02Z in DE and the earliest of the 2 ends that follow is the one at \
             2019-05-12T12:00:05Z; 1 end before the start does not count."
        );
    }

    #[test]
    fn of_starts_at_one_instant_the_first_by_country_counts() {
        assert_eq!(
            why_of(&[(2, "SK"), (2, "DE")], &[0, 1, 2]),
            "The session is complete because the earliest of its 2 starts, the first of them by \
             country, is the one at 2019-05-12T12:00:02Z in DE and it ended at \
             2019-05-12T12:00:02Z; 2 ends before the start do not count."
        );
    }

    #[test]
    fn a_session_without_an_end_is_open() {
        assert_eq!(
            why_of(&[(0, "SK")], &[]),
            "The session is open because it started at 2019-05-12T12:00:00Z in SK and no end of \
             it is known."
        );
    }

    #[test]
    fn ends_before_the_start_leave_a_session_open() {
        assert_eq!(
            why_of(&[(3, "SK")], &[1]),
            "The session is open because it started at 2019-05-12T12:00:03Z in SK and its only \
             known end, at 2019-05-12T12:00:01Z, is earlier."
        );
        assert_eq!(
            why_of(&[(3, "SK")], &[1, 2]),
            "The session is open because it started at 2019-05-12T12:00:03Z in SK and all 2 known \
             ends are earlier."
        );
    }

    #[test]
    fn an_end_without_a_start_is_an_orphan() {
        assert_eq!(
            why_of(&[], &[1]),
            "The session is an orphan because it ended at 2019-05-12T12:00:01Z and no start of it \
             is known."
        );
        assert_eq!(
            why_of(&[], &[1, 2]),
            "The session is an orphan because the earliest of its 2 ends is the one at \
             2019-05-12T12:00:01Z and no start of it is known."
        );
    }

    #[test]
    fn an_end_that_has_left_is_neither_shown_nor_counted_whether_or_not_it_was_removed() {
        let held = explained(&[(3, "SK")], &[-1], Departed::default()).unwrap();
        let removed = explained(&[(3, "SK")], &[], Departed { start: false, end: true }).unwrap();
        assert_eq!(held.facts, removed.facts);
        assert_eq!(held.why, removed.why);
        assert_eq!(held.facts.len(), 1);
    }

    #[test]
    fn a_session_that_has_left_with_its_start_is_not_explained() {
        assert!(explained(&[(-1, "SK"), (1, "SK")], &[5], Departed::default()).is_none());
        assert!(explained(&[(1, "SK")], &[5], Departed { start: true, end: false }).is_none());
        assert!(explained(&[], &[-1, 5], Departed::default()).is_none());
    }
}
