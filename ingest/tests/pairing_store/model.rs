//! The naive model: every event ever received.

use super::*;

/// The canonical rule, stated independently, over every event ever received.
#[derive(Default)]
pub(super) struct Model {
    pub(super) received: BTreeMap<SessionKey, BTreeSet<Fact>>,
}

impl Model {
    pub(super) fn receive(&mut self, batch: &[Seen]) {
        for (key, fact) in batch {
            self.received.entry(key.clone()).or_default().insert(fact.clone());
        }
    }

    /// A sweep removes a session completely if all of its facts are older than the horizon; later
    /// events start it again. A session that keeps any fact loses nothing.
    pub(super) fn sweep(&mut self, horizon: i64) {
        self.received.retain(|_, facts| facts.iter().any(|fact| time(fact) >= horizon));
    }

    pub(super) fn canonical(&self, key: &SessionKey) -> (Option<(i64, Country)>, Option<i64>) {
        let facts = self.received.get(key).cloned().unwrap_or_default();
        let mut start: Option<(i64, Country)> = None;
        for fact in &facts {
            if let Fact::Start(Start { ts, country }) = fact {
                let this = (ts.millis(), country.clone());
                if start.as_ref().is_none_or(|start| this < *start) {
                    start = Some(this);
                }
            }
        }
        let mut end: Option<i64> = None;
        for fact in &facts {
            if let Fact::End(ts) = fact
                && start.as_ref().is_none_or(|start| ts.millis() >= start.0)
                && end.is_none_or(|end| ts.millis() < end)
            {
                end = Some(ts.millis());
            }
        }
        (start, end)
    }

    pub(super) fn status(&self, key: &SessionKey, horizon: i64) -> Option<Status> {
        match self.canonical(key) {
            (Some((started, _)), _) if started < horizon => None,
            (Some(_), Some(_)) => Some(Status::Complete),
            (Some(_), None) => Some(Status::Open),
            (None, Some(ended)) if ended >= horizon => Some(Status::Orphan),
            (None, _) => None,
        }
    }

    pub(super) fn starts(&self, country: &str, from: i64, to: i64) -> Vec<SessionStart> {
        let mut starts = Vec::new();
        for key in self.received.keys() {
            if let (Some((started, place)), _) = self.canonical(key)
                && place.as_str() == country
                && from <= started
                && started < to
            {
                starts.push(key.started(&Start { ts: at(started), country: place }));
            }
        }
        starts.sort_by(|a, b| {
            b.ts.cmp(&a.ts).then(a.session.cmp(&b.session)).then(a.user.cmp(&b.user))
        });
        starts
    }

    pub(super) fn completed(&self, user: &str, horizon: i64) -> Vec<CompletedSession> {
        let mut sessions = Vec::new();
        for key in self.received.keys().filter(|key| key.user.as_str() == user) {
            if let (Some((started, country)), Some(ended)) = self.canonical(key)
                && started >= horizon
            {
                sessions.push(key.completed(&Start { ts: at(started), country }, at(ended)));
            }
        }
        sessions.sort_by(|a, b| b.ended_at.cmp(&a.ended_at).then(a.session.cmp(&b.session)));
        sessions
    }

    pub(super) fn countries(&self, horizon: i64) -> Vec<Country> {
        let mut countries = BTreeSet::new();
        for fact in self.received.values().flatten() {
            if let Fact::Start(start) = fact
                && start.ts.millis() >= horizon
            {
                countries.insert(start.country.clone());
            }
        }
        countries.into_iter().collect()
    }
}

pub(super) fn time(fact: &Fact) -> i64 {
    match fact {
        Fact::Start(start) => start.ts.millis(),
        Fact::End(ts) => ts.millis(),
    }
}
