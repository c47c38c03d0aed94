//! The answer to a query for one session: from the store, and derived from the events alone.

use shared::{
    event::{Country, SessionEvent},
    session::{CompletedSession, Fact, SessionFacts, SessionKey, SessionStart, Status},
    store::{Store, Window},
    timestamp::{RETENTION, Timestamp},
};

use super::now;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Option<Status>,
    pub(crate) completed: Vec<CompletedSession>,
    pub(crate) starts: Vec<SessionStart>,
}

impl Answer {
    pub(crate) async fn of(store: &Store, key: &SessionKey) -> Self {
        let horizon = now() - RETENTION;
        let facts = store.facts(key).await.unwrap();
        let mut starts = Vec::new();
        for country in ["SK", "AT"].map(Country::normalise) {
            let window = Window { from: horizon, to: Timestamp::MAX };
            starts.extend(store.starts(&country, window, None, 10_000).await.unwrap());
        }
        starts.retain(|start| start.user == key.user && start.session == key.session);
        let mut completed = store.completed(&key.user, horizon, None, 10_000).await.unwrap();
        completed.retain(|session| session.session == key.session);
        Self { status: facts.status(horizon), completed, starts }
    }
}

/// The expected answer after `events`, which may include those of other sessions.
pub(crate) fn expected(key: &SessionKey, events: &[String]) -> Answer {
    let mut facts = SessionFacts::default();
    for event in events {
        let (of, fact): (SessionKey, Fact) = SessionEvent::parse(event.as_bytes()).unwrap().into();
        if of == *key {
            facts.absorb(&fact);
        }
    }
    Answer {
        status: facts.status(now() - RETENTION),
        completed: facts.completed(key).into_iter().collect(),
        starts: facts.start().map(|start| key.started(start)).into_iter().collect(),
    }
}
