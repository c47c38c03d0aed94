//! The expected replies, computed from the set of all events: slow, simple and independent.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};

use crate::{
    client::escaped,
    reading::{Event, Fact, spelled},
};

/// Every request by its path, and the expected reply.
pub(crate) type Answers = BTreeMap<String, Value>;

/// All facts, by user and session.
#[derive(Default)]
pub(crate) struct Model {
    sessions: BTreeMap<(String, String), BTreeSet<Fact>>,
}

/// The start and the end of a session.
struct Made<'a> {
    start: Option<(i64, &'a str)>,
    end: Option<i64>,
}

/// Sessions of a list, each with its sort key.
type Ranked = Vec<(Reverse<i64>, Value)>;

impl Model {
    pub(crate) fn new<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut model = Self::default();
        for event in events {
            let facts =
                model.sessions.entry((event.user.clone(), event.session.clone())).or_default();
            facts.insert(event.fact.clone());
        }
        model
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &(String, String)> {
        self.sessions.keys()
    }

    /// Returns the expected replies if every event is within the last sixty days.
    pub(crate) fn answers(&self) -> Answers {
        let mut countries: BTreeMap<&str, Vec<(i64, &str, &str)>> = BTreeMap::new();
        let mut users: BTreeMap<&str, [Ranked; 3]> = BTreeMap::new();
        let mut answers = Answers::new();
        for ((user, session), facts) in &self.sessions {
            for fact in facts {
                if let Fact::Start(_, country) = fact {
                    countries.entry(country).or_default();
                }
            }
            let made = made(facts);
            if let Some((ts, country)) = made.start {
                countries.entry(country).or_default().push((ts, session, user));
            }
            let [complete, open, orphan] = users.entry(user).or_default();
            let (status, shown) = match made {
                Made { start: Some((start, country)), end: Some(end) } => {
                    let shown = json!({ "user_id": user, "session_id": session, "country": country,
                        "started_at": spelled(start), "ended_at": spelled(end), "duration_ms": end - start });
                    complete.push((Reverse(end), shown.clone()));
                    ("complete", shown)
                }
                Made { start: Some((start, country)), end: None } => {
                    let shown = json!({ "user_id": user, "session_id": session, "country": country,
                        "started_at": spelled(start) });
                    open.push((Reverse(start), shown));
                    ("open", Value::Null)
                }
                Made { start: None, end } => {
                    let end = end.unwrap();
                    let shown =
                        json!({ "user_id": user, "session_id": session, "ended_at": spelled(end) });
                    orphan.push((Reverse(end), shown));
                    ("orphan", Value::Null)
                }
            };
            let explained = json!({ "user_id": user, "session_id": session, "status": status,
                "facts": facts_in_order(facts), "session": shown });
            answers.insert(explain(user, session), explained);
        }
        for (user, by_status) in users {
            answer_sessions(user, by_status, &mut answers);
        }
        self.answer_starts(countries, &mut answers);
        answers
    }

    fn answer_starts(
        &self,
        countries: BTreeMap<&str, Vec<(i64, &str, &str)>>,
        answers: &mut Answers,
    ) {
        let (mut listed, mut counted) = (BTreeMap::new(), BTreeMap::new());
        for (country, mut starts) in countries {
            starts.sort_by_key(|(ts, session, user)| (Reverse(*ts), *session, *user));
            counted.insert(country, starts.len());
            let start = |(ts, session, user)| json!({ "user_id": user, "session_id": session, "ts": spelled(ts) });
            listed.insert(country, starts.into_iter().map(start).collect::<Vec<_>>());
        }
        answers.insert("/user/last-events?days=60".to_owned(), json!(listed));
        answers.insert("/v1/session-starts?hours=1440&limit=997".to_owned(), json!(listed));
        answers.insert("/v1/session-starts/counts?days=60".to_owned(), json!(counted));
    }
}

/// The path that explains a session.
pub(crate) fn explain(user: &str, session: &str) -> String {
    format!("/v1/users/{}/sessions/{}", escaped(user), escaped(session))
}

/// The start is the smallest one, the end the smallest that is not before it. Without a start, the
/// end is the smallest.
fn made(facts: &BTreeSet<Fact>) -> Made<'_> {
    let mut start: Option<(i64, &str)> = None;
    for fact in facts {
        if let Fact::Start(ts, country) = fact
            && start.is_none_or(|known| (*ts, country.as_str()) < known)
        {
            start = Some((*ts, country));
        }
    }
    let mut end: Option<i64> = None;
    for fact in facts {
        if let Fact::End(ts) = fact
            && start.is_none_or(|(start, _)| *ts >= start)
            && end.is_none_or(|known| *ts < known)
        {
            end = Some(*ts);
        }
    }
    Made { start, end }
}

/// The facts by time, starts before ends.
fn facts_in_order(facts: &BTreeSet<Fact>) -> Vec<Value> {
    let shown = |fact: &Fact| match fact {
        Fact::Start(ts, country) => (
            (*ts, 0, country.clone()),
            json!({ "kind": "start", "ts": spelled(*ts), "country": country }),
        ),
        Fact::End(ts) => ((*ts, 1, String::new()), json!({ "kind": "end", "ts": spelled(*ts) })),
    };
    let mut shown: Vec<_> = facts.iter().map(shown).collect();
    shown.sort_by(|(one, _), (other, _)| one.cmp(other));
    shown.into_iter().map(|(_, fact)| fact).collect()
}

/// Adds the replies about the sessions of a user.
fn answer_sessions(user: &str, by_status: [Ranked; 3], answers: &mut Answers) {
    let [complete, open, orphan] = by_status.map(|mut sessions| {
        // Newest first. Sessions with equal times are already in the order of their ids.
        sessions.sort_by_key(|(ts, _)| *ts);
        sessions.into_iter().map(|(_, session)| session).collect::<Vec<_>>()
    });
    let last: Vec<&Value> = complete.iter().take(20).collect();
    let user_id = escaped(user);
    answers.insert(format!("/user/last-sessions-user?player_id={user_id}"), json!({ user: last }));
    for (status, sessions) in [("open", open), ("orphan", orphan)] {
        answers.insert(format!("/v1/users/{user_id}/sessions?status={status}"), sessions.into());
    }
    answers
        .insert(format!("/v1/users/{user_id}/sessions?status=complete&limit=7"), complete.into());
}
