//! One page of a user's sessions.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use shared::{
    event::{Country, SessionId},
    session::{CompletedSession, SessionFacts, SessionKey, Status},
    store::SessionPosition,
    timestamp::Timestamp,
};

/// A session in a list. Its fields depend on its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListedSession {
    Complete(CompletedSession),
    Open { key: SessionKey, country: Country, started_at: Timestamp },
    Orphan { key: SessionKey, ended_at: Timestamp },
}

/// One page of a user's sessions, and where the next page begins.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sessions: Vec<ListedSession>,
    /// Whether they are ordered by session id, and not newest first.
    pub(crate) by_id: bool,
    pub(crate) next: Option<After>,
}

/// After what a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Newest first: after this position.
    Newest(SessionPosition),
    /// In the order of ids: after this session. Sessions up to the position, if there is one, were
    /// on pages that were newest first, when the user had fewer sessions.
    Id(SessionId, Option<SessionPosition>),
}

impl Listing {
    /// The page of the first `limit` of `sessions`, which are one more if there is a next page.
    pub(super) fn newest_first(mut sessions: Vec<ListedSession>, limit: usize) -> Self {
        let cut = sessions.len() > limit;
        sessions.truncate(limit);
        let last = sessions.last().filter(|_| cut).map(ListedSession::position);
        Self { sessions, by_id: false, next: last.map(After::Newest) }
    }
}

impl ListedSession {
    /// The session as it is listed; `None` after its retention has ended.
    pub(crate) fn of(key: SessionKey, facts: &SessionFacts, horizon: Timestamp) -> Option<Self> {
        match facts.status(horizon)? {
            Status::Complete => facts.completed(&key).map(Self::Complete),
            Status::Open => {
                let start = facts.start()?;
                Some(Self::Open { country: start.country.clone(), started_at: start.ts, key })
            }
            Status::Orphan => Some(Self::Orphan { ended_at: facts.orphan()?, key }),
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Complete(_) => Status::Complete,
            Self::Open { .. } => Status::Open,
            Self::Orphan { .. } => Status::Orphan,
        }
    }

    pub(super) fn order(&self) -> (Timestamp, &SessionId) {
        match self {
            Self::Complete(session) => (session.ended_at, &session.session),
            Self::Open { key, started_at, .. } => (*started_at, &key.session),
            Self::Orphan { key, ended_at } => (*ended_at, &key.session),
        }
    }

    pub(super) fn position(&self) -> SessionPosition {
        let (ts, session) = self.order();
        SessionPosition { ts, session: session.clone() }
    }

    pub(super) fn is_after(&self, after: &SessionPosition) -> bool {
        let (ts, session) = self.order();
        ts < after.ts || ts == after.ts && *session > after.session
    }
}

impl Serialize for ListedSession {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = match self {
            Self::Complete(session) => return session.serialize(serializer),
            Self::Open { key, .. } | Self::Orphan { key, .. } => key,
        };
        let mut object = serializer.serialize_struct("ListedSession", 4)?;
        object.serialize_field("user_id", &key.user)?;
        object.serialize_field("session_id", &key.session)?;
        match self {
            Self::Complete(_) => {}
            Self::Open { country, started_at, .. } => {
                object.serialize_field("country", country)?;
                object.serialize_field("started_at", started_at)?;
            }
            Self::Orphan { ended_at, .. } => object.serialize_field("ended_at", ended_at)?,
        }
        object.end()
    }
}
