//! The sessions of one user. The store lists the complete ones; open sessions and orphans are found
//! by reading all sessions of the user.

use std::collections::BinaryHeap;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use shared::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, Status},
    store::{SessionPosition, Store, StoreError},
    timestamp::Timestamp,
};

/// The number of sessions that are read at a time.
const STEP: usize = 256;

/// A session in a list. Its fields depend on its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListedSession {
    Complete(CompletedSession),
    Open { key: SessionKey, country: Country, started_at: Timestamp },
    Orphan { key: SessionKey, ended_at: Timestamp },
}

/// One page of a user's sessions, newest first, and the position of the next page.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sessions: Vec<ListedSession>,
    pub(crate) next: Option<SessionPosition>,
}

/// Lists at most `limit` sessions of `user` with `status`, after the position `after` if it is
/// given. The order is that of [`SessionPosition`]: newest first, equal times by session. Sessions
/// from before `horizon` are omitted.
pub(crate) async fn list(
    store: &Store,
    user: &UserId,
    status: Status,
    horizon: Timestamp,
    after: Option<SessionPosition>,
    limit: usize,
) -> Result<Listing, StoreError> {
    // One session more than the limit shows that there is a next page.
    let mut sessions = match status {
        Status::Complete => {
            let sessions = store.completed(user, horizon, after, limit + 1).await?;
            sessions.into_iter().map(ListedSession::Complete).collect()
        }
        Status::Open | Status::Orphan => {
            search(store, user, status, horizon, after, limit + 1).await?
        }
    };
    let cut = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| cut).map(ListedSession::position);
    Ok(Listing { sessions, next })
}

/// Reads every session of the user and keeps the first `limit`. There is no index of open sessions
/// and orphans, because nearly every session would enter it only to leave it again.
async fn search(
    store: &Store,
    user: &UserId,
    status: Status,
    horizon: Timestamp,
    after: Option<SessionPosition>,
    limit: usize,
) -> Result<Vec<ListedSession>, StoreError> {
    let mut first = BinaryHeap::with_capacity(limit + 1);
    let mut seen = None;
    loop {
        let sessions = store.sessions(user, seen, STEP).await?;
        seen =
            sessions.last().filter(|_| sessions.len() == STEP).map(|(key, _)| key.session.clone());
        for (key, facts) in sessions {
            let listed =
                ListedSession::of(key, &facts, horizon).filter(|listed| listed.status() == status);
            let Some(listed) =
                listed.filter(|listed| after.as_ref().is_none_or(|after| listed.is_after(after)))
            else {
                continue;
            };
            first.push(Ranked(listed));
            if first.len() > limit {
                first.pop();
            }
        }
        if seen.is_none() {
            return Ok(first.into_sorted_vec().into_iter().map(|Ranked(listed)| listed).collect());
        }
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

    fn status(&self) -> Status {
        match self {
            Self::Complete(_) => Status::Complete,
            Self::Open { .. } => Status::Open,
            Self::Orphan { .. } => Status::Orphan,
        }
    }

    fn order(&self) -> (Timestamp, &SessionId) {
        match self {
            Self::Complete(session) => (session.ended_at, &session.session),
            Self::Open { key, started_at, .. } => (*started_at, &key.session),
            Self::Orphan { key, ended_at } => (*ended_at, &key.session),
        }
    }

    fn position(&self) -> SessionPosition {
        let (ts, session) = self.order();
        SessionPosition { ts, session: session.clone() }
    }

    fn is_after(&self, after: &SessionPosition) -> bool {
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

/// A session that sorts by the order of the list.
#[derive(PartialEq, Eq)]
struct Ranked(ListedSession);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let ((ts, session), (other_ts, other_session)) = (self.0.order(), other.0.order());
        other_ts.cmp(&ts).then_with(|| session.cmp(other_session))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
