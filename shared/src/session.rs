//! The session: all of its facts, and the canonical rule that pairs them.
//!
//! The rule: the start of a session is the smallest (ts, country) among its starts; its end is the
//! smallest end that is not before that start. The session is complete when both exist. There is no
//! window in which the other event must arrive. Pure; never decides which rows to write: see
//! `ingest::pairing`.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    event::{Country, SessionEvent, SessionId, UserId},
    timestamp::Timestamp,
};

/// Maximum number of distinct facts of a session. Later facts become dead letters, `contested`;
/// this is the only case in which the order of arrival can affect the result.
pub const MAX_FACTS: usize = 64;

/// Identifies a session; events are paired by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The user.
    pub user: UserId,
    /// The session, unique per user.
    pub session: SessionId,
}

/// One stored event of a session, without the key of the session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The session began.
    Start(Start),
    /// The session ended, at this time.
    End(Timestamp),
}

/// Time and country of a start. The smaller of two starts is the canonical one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// Time of the start.
    pub ts: Timestamp,
    /// Country of the start.
    pub country: Country,
}

/// A start as listed in its country: as JSON, `{"user_id","session_id","ts"}`. The country is the
/// key of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SessionStart {
    /// The user.
    #[serde(rename = "user_id")]
    pub user: UserId,
    /// The session.
    #[serde(rename = "session_id")]
    pub session: SessionId,
    /// Country of the start.
    #[serde(skip)]
    pub country: Country,
    /// Time of the start.
    pub ts: Timestamp,
}

/// A session with its canonical start and end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompletedSession {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Country of the start.
    pub country: Country,
    /// Time of the start.
    pub started_at: Timestamp,
    /// Time of the end, never before the start.
    pub ended_at: Timestamp,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A start, and an end that is not before it.
    Complete,
    /// A start without such an end.
    Open,
    /// Ends without a start.
    Orphan,
}

/// The outcome of adding a fact with [`SessionFacts::absorb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// Added.
    New,
    /// A repetition, which changes nothing.
    Known,
    /// Not added: the session has [`MAX_FACTS`] others.
    Contested,
}

/// All facts of one session: a set that only grows, until retention removes the oldest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    starts: Vec<Start>,
    ends: Vec<Timestamp>,
    departed: Departed,
}

/// The kinds of facts that retention has removed from a session. A session expires with its start;
/// without this record, its later end would become an orphan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// A start was removed.
    pub start: bool,
    /// An end was removed.
    pub end: bool,
}

impl Fact {
    /// Time of the event.
    #[must_use]
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Start(start) => start.ts,
            Self::End(ts) => *ts,
        }
    }
}

impl SessionFacts {
    /// Creates the set from facts in any order; repetitions are ignored.
    #[must_use]
    pub fn new(mut starts: Vec<Start>, mut ends: Vec<Timestamp>, departed: Departed) -> Self {
        starts.sort_unstable();
        starts.dedup();
        ends.sort_unstable();
        ends.dedup();
        Self { starts, ends, departed }
    }

    /// Adds `fact`, unless the set is full.
    pub fn absorb(&mut self, fact: &Fact) -> Absorbed {
        let full = self.starts.len() + self.ends.len() >= MAX_FACTS;
        match fact {
            Fact::Start(start) => insert(&mut self.starts, start, full),
            Fact::End(ts) => insert(&mut self.ends, ts, full),
        }
    }

    /// The set without these facts.
    #[must_use]
    pub fn without(&self, facts: &[Fact]) -> Self {
        let mut rest = self.clone();
        rest.starts.retain(|start| !facts.contains(&Fact::Start(start.clone())));
        rest.ends.retain(|end| !facts.contains(&Fact::End(*end)));
        rest
    }

    /// Every start, smallest first.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Every end, earliest first.
    #[must_use]
    pub fn ends(&self) -> &[Timestamp] {
        &self.ends
    }

    /// The kinds of facts that retention has removed.
    #[must_use]
    pub fn departed(&self) -> Departed {
        self.departed
    }

    /// Whether the set has no facts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.ends.is_empty()
    }

    /// The canonical start, which is the smallest; `None` when there is none or retention removed
    /// it.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        if self.departed.start { None } else { self.starts.first() }
    }

    /// The canonical end: the smallest that is not before the canonical start.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        let start = self.start()?;
        self.ends.iter().find(|end| **end >= start.ts).copied()
    }

    /// The smallest end of a session without a start; `None` when retention removed it.
    #[must_use]
    pub fn orphan(&self) -> Option<Timestamp> {
        if self.departed.start || self.departed.end || !self.starts.is_empty() {
            None
        } else {
            self.ends.first().copied()
        }
    }

    /// The state of the session for readers to whom events before `horizon` are expired; `None`
    /// when the session has expired.
    #[must_use]
    pub fn status(&self, horizon: Timestamp) -> Option<Status> {
        match (self.start(), self.end(), self.orphan()) {
            (Some(start), _, _) if start.ts < horizon => None,
            (Some(_), Some(_), _) => Some(Status::Complete),
            (Some(_), None, _) => Some(Status::Open),
            (None, _, Some(end)) if end >= horizon => Some(Status::Orphan),
            (None, _, _) => None,
        }
    }

    /// The completed session of these facts, if they complete the session `key`.
    #[must_use]
    pub fn completed(&self, key: &SessionKey) -> Option<CompletedSession> {
        let (start, ended_at) = (self.start()?, self.end()?);
        Some(key.completed(start, ended_at))
    }

    /// Removes every fact before `horizon`. Returns whether there was one.
    pub fn forget_before(&mut self, horizon: Timestamp) -> bool {
        let starts = self.starts.partition_point(|start| start.ts < horizon);
        let ends = self.ends.partition_point(|end| *end < horizon);
        self.starts.drain(..starts);
        self.ends.drain(..ends);
        self.departed.start |= starts > 0;
        self.departed.end |= ends > 0;
        starts + ends > 0
    }
}

fn insert<T: Ord + Clone>(set: &mut Vec<T>, item: &T, full: bool) -> Absorbed {
    match set.binary_search(item) {
        Ok(_) => Absorbed::Known,
        Err(_) if full => Absorbed::Contested,
        Err(at) => {
            set.insert(at, item.clone());
            Absorbed::New
        }
    }
}

impl SessionKey {
    /// The row of `start` in the list of its country.
    #[must_use]
    pub fn started(&self, start: &Start) -> SessionStart {
        SessionStart {
            user: self.user.clone(),
            session: self.session.clone(),
            country: start.country.clone(),
            ts: start.ts,
        }
    }

    /// The row of this session as completed from `start` to `ended_at`.
    #[must_use]
    pub fn completed(&self, start: &Start, ended_at: Timestamp) -> CompletedSession {
        CompletedSession {
            user: self.user.clone(),
            session: self.session.clone(),
            country: start.country.clone(),
            started_at: start.ts,
            ended_at,
        }
    }
}

impl From<SessionEvent> for (SessionKey, Fact) {
    fn from(event: SessionEvent) -> Self {
        match event {
            SessionEvent::Start { user, session, ts, country } => {
                (SessionKey { user, session }, Fact::Start(Start { ts, country }))
            }
            SessionEvent::End { user, session, ts } => {
                (SessionKey { user, session }, Fact::End(ts))
            }
        }
    }
}

/// `{"user_id","session_id","country","started_at","ended_at","duration_ms"}`.
impl Serialize for CompletedSession {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("CompletedSession", 6)?;
        object.serialize_field("user_id", &self.user)?;
        object.serialize_field("session_id", &self.session)?;
        object.serialize_field("country", &self.country)?;
        object.serialize_field("started_at", &self.started_at)?;
        object.serialize_field("ended_at", &self.ended_at)?;
        object.serialize_field("duration_ms", &(self.ended_at - self.started_at))?;
        object.end()
    }
}
