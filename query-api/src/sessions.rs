//! The sessions of one user: the complete ones as the store lists them, the open and the orphans found by looking at all.

use std::collections::BinaryHeap;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use shared::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, Status},
    store::{SessionPosition, Store, StoreError},
    timestamp::Timestamp,
};

/// How many sessions are looked at in one step.
const STEP: usize = 256;

/// A listed session; which of its fields are shown depends on its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Complete(CompletedSession),
    Open { key: SessionKey, country: Country, started_at: Timestamp },
    Orphan { key: SessionKey, ended_at: Timestamp },
}

/// Some sessions of a user, newest first, and where the others go on.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sessions: Vec<Listed>,
    pub(crate) next: Option<SessionPosition>,
}

/// At most `limit` sessions of `user` that are `status` when nothing before `horizon` is answered any more, newest first by
/// the time of [`SessionPosition`], equal times by session; those behind `after` when it is given.
pub(crate) async fn list(
    store: &Store,
    user: &UserId,
    status: Status,
    horizon: Timestamp,
    after: Option<SessionPosition>,
    limit: usize,
) -> Result<Listing, StoreError> {
    // One more than the limit tells whether there is a next page.
    let mut sessions = match status {
        Status::Complete => {
            let sessions = store.completed(user, horizon, after, limit + 1).await?;
            sessions.into_iter().map(Listed::Complete).collect()
        }
        Status::Open | Status::Orphan => {
            search(store, user, status, horizon, after, limit + 1).await?
        }
    };
    let cut = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| cut).map(Listed::position);
    Ok(Listing { sessions, next })
}

/// Looks at every session of the user and keeps the `limit` that come first: there is no index of what is not complete,
/// for nearly every session would enter it only to leave it again.
async fn search(
    store: &Store,
    user: &UserId,
    status: Status,
    horizon: Timestamp,
    after: Option<SessionPosition>,
    limit: usize,
) -> Result<Vec<Listed>, StoreError> {
    let mut first = BinaryHeap::with_capacity(limit + 1);
    let mut seen = None;
    loop {
        let sessions = store.sessions(user, seen, STEP).await?;
        seen =
            sessions.last().filter(|_| sessions.len() == STEP).map(|(key, _)| key.session.clone());
        for (key, facts) in sessions {
            let listed =
                Listed::of(key, &facts, horizon).filter(|listed| listed.status() == status);
            let Some(listed) =
                listed.filter(|listed| after.as_ref().is_none_or(|after| listed.is_behind(after)))
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

impl Listed {
    /// What is answered of a session; `None` once it has left.
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

    fn is_behind(&self, after: &SessionPosition) -> bool {
        let (ts, session) = self.order();
        ts < after.ts || ts == after.ts && *session > after.session
    }
}

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = match self {
            Self::Complete(session) => return session.serialize(serializer),
            Self::Open { key, .. } | Self::Orphan { key, .. } => key,
        };
        let mut object = serializer.serialize_struct("Listed", 4)?;
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

/// Sorts by the order of the listing: the smaller comes first.
#[derive(PartialEq, Eq)]
struct Ranked(Listed);

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
