//! One difference between the store and the log, in words and for programs.

use std::fmt;

use serde::Serialize;
use shared::{
    event::Country,
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart, Start},
};

/// The most starts, and the most ends, that a sentence lists.
const LISTED: usize = 3;

/// What differs. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Log and store have other facts of a session.
    FactsDiffer,
    /// The store has facts of a session that is not in the log.
    SessionNotInLog,
    /// The log has a session of which the store has no facts.
    SessionNotInStore,
    /// A country lists a start that the facts do not explain.
    StartNotInLog,
    /// No country lists the start of a session.
    StartNotInStore,
    /// The store does not have the country of a start.
    CountryNotInStore,
    /// A user's list has a complete session that the facts do not explain.
    CompletedNotInLog,
    /// A complete session is not in its user's list.
    CompletedNotInStore,
}

/// A difference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// The user of the session, unless it is about a country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The session, unless it is about a country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The difference in words.
    pub text: String,
}

impl Difference {
    pub(super) fn of_session(kind: DifferenceKind, key: &SessionKey, what: &str) -> Self {
        let (user, session) = (key.user.as_str(), key.session.as_str());
        Self {
            kind,
            user_id: Some(user.to_owned()),
            session_id: Some(session.to_owned()),
            text: format!("session {session:?} of user {user:?}: {what}"),
        }
    }

    pub(super) fn of_country(country: &Country) -> Self {
        Self {
            kind: DifferenceKind::CountryNotInStore,
            user_id: None,
            session_id: None,
            text: format!(
                "country {country}: the log has starts in it, the store does not list it"
            ),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The facts of a session: `a start at … in SK and an end at …`.
pub(super) fn facts_in_words(facts: &SessionFacts) -> String {
    let starts = list("start", facts.starts().iter().map(start_in_words));
    let ends = list("end", facts.ends().iter().map(ToString::to_string));
    match (starts, ends) {
        (Some(starts), Some(ends)) => format!("{starts} and {ends}"),
        (Some(some), None) | (None, Some(some)) => some,
        (None, None) => "no events of it".to_owned(),
    }
}

fn start_in_words(start: &Start) -> String {
    format!("{} in {}", start.ts, start.country)
}

/// `None` if there are no `items`.
fn list(name: &str, items: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let count = items.len();
    let article = if name.starts_with('e') { "an" } else { "a" };
    let listed = items.take(LISTED).collect::<Vec<_>>().join(", ");
    match count {
        0 => None,
        1 => Some(format!("{article} {name} at {listed}")),
        2..=LISTED => Some(format!("{name}s at {listed}")),
        _ => Some(format!("{name}s at {listed} and {} more", count - LISTED)),
    }
}

/// A row of a country's list.
pub(super) fn row_of_start(row: &SessionStart) -> String {
    format!("the store lists a start at {} in {}", row.ts, row.country)
}

/// A row of a user's list.
pub(super) fn row_of_completed(row: &CompletedSession) -> String {
    let CompletedSession { started_at, ended_at, country, .. } = row;
    format!("the store lists it as complete from {started_at} to {ended_at} in {country}")
}

#[cfg(test)]
mod tests {
    use shared::timestamp::Timestamp;

    use super::*;

    #[test]
    fn facts_are_one_readable_sentence_however_many_there_are() {
        let noon = Timestamp::parse("2026-06-01T12:00:00Z").unwrap();
        let start =
            |hour: i64| Start { ts: noon + hour * 3_600_000, country: Country::normalise("SK") };
        let facts = |starts: &[i64], ends: i64| {
            let starts = starts.iter().map(|hour| start(*hour)).collect();
            let ends = (0..ends).map(|second| noon + second * 1_000).collect();
            facts_in_words(&SessionFacts::new(starts, ends, Default::default()))
        };
        assert_eq!(facts(&[], 0), "no events of it");
        assert_eq!(facts(&[0], 0), "a start at 2026-06-01T12:00:00Z in SK");
        assert_eq!(
            facts(&[0, 1], 1),
            "starts at 2026-06-01T12:00:00Z in SK, 2026-06-01T13:00:00Z in SK and an end at \
             2026-06-01T12:00:00Z"
        );
        assert_eq!(
            facts(&[], 60),
            "ends at 2026-06-01T12:00:00Z, 2026-06-01T12:00:01Z, 2026-06-01T12:00:02Z and 57 more"
        );
    }
}
