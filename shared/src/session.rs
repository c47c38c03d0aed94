//! The session: all facts known of it, and the canonical rule that says what they make together.
//!
//! Pure. The rule: a session's start is the smallest (ts, country) among its starts, its end the smallest end that is not
//! before that start. It is complete when both exist; there is no window in which the other half must arrive. What has to be
//! written when facts are added is decided elsewhere (`ingest::pairing`).

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    event::{Country, SessionEvent, SessionId, UserId},
    timestamp::Timestamp,
};

/// The most distinct facts one session may have. More is abuse, and the one place where the order of arrival may show: the
/// facts that come after these are dead-lettered as `contested`.
pub const MAX_FACTS: usize = 64;

/// A user's session: what events are paired by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose session.
    pub user: UserId,
    /// Which of the user's sessions.
    pub session: SessionId,
}

/// One stored event of a session, without the session's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The session began.
    Start(Start),
    /// The session ended, at this time.
    End(Timestamp),
}

/// When and where a session began. The smaller of two starts is the canonical one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// When.
    pub ts: Timestamp,
    /// Where.
    pub country: Country,
}

/// A start as it is listed in its country.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionStart {
    /// Whose session.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// Where it began.
    pub country: Country,
    /// When it began.
    pub ts: Timestamp,
}

/// A session with its canonical start and end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompletedSession {
    /// Whose session.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// Where it began.
    pub country: Country,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, never before it began.
    pub ended_at: Timestamp,
}

/// What the facts of a session make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has a start, and an end not before it.
    Complete,
    /// It has a start, and no end that is not before it.
    Open,
    /// It has ends, and no start.
    Orphan,
}

/// What became of a fact that was offered to [`SessionFacts::absorb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// It was not known before.
    New,
    /// It was known already: a repetition, which changes nothing.
    Known,
    /// It was not taken: the session has [`MAX_FACTS`] others.
    Contested,
}

/// All that is known of one session: a set of facts that only grows, until retention takes the oldest away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    starts: Vec<Start>,
    ends: Vec<Timestamp>,
    departed: Departed,
}

/// Which kinds of facts retention has already taken from a session. A session leaves with its start: without this memory its
/// later end would come back as an orphan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// A start has left.
    pub start: bool,
    /// An end has left.
    pub end: bool,
}

impl Fact {
    /// When it happened.
    #[must_use]
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Start(start) => start.ts,
            Self::End(ts) => *ts,
        }
    }
}

impl SessionFacts {
    /// Facts read back from a store. Their order and repetition do not matter.
    #[must_use]
    pub fn new(mut starts: Vec<Start>, mut ends: Vec<Timestamp>, departed: Departed) -> Self {
        starts.sort_unstable();
        starts.dedup();
        ends.sort_unstable();
        ends.dedup();
        Self { starts, ends, departed }
    }

    /// Adds `fact` to the set, unless the set is full.
    pub fn absorb(&mut self, fact: &Fact) -> Absorbed {
        let full = self.starts.len() + self.ends.len() >= MAX_FACTS;
        match fact {
            Fact::Start(start) => insert(&mut self.starts, start, full),
            Fact::End(ts) => insert(&mut self.ends, ts, full),
        }
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

    /// Which kinds of facts retention has taken.
    #[must_use]
    pub fn departed(&self) -> Departed {
        self.departed
    }

    /// Whether no fact is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.ends.is_empty()
    }

    /// The canonical start: the smallest, `None` when there is none or it has left with its year.
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

    /// The end of a session without a start: the smallest, `None` when it has left with its year.
    #[must_use]
    pub fn orphan(&self) -> Option<Timestamp> {
        if self.departed.start || self.departed.end || !self.starts.is_empty() {
            None
        } else {
            self.ends.first().copied()
        }
    }

    /// What is answered of the session when nothing before `horizon` is answered any more; `None` once it has left.
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

    /// The completed session that these facts of `key` make, if they make one.
    #[must_use]
    pub fn completed(&self, key: &SessionKey) -> Option<CompletedSession> {
        let (start, ended_at) = (self.start()?, self.end()?);
        Some(key.completed(start, ended_at))
    }

    /// Takes away every fact before `horizon`, and says whether there was one.
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
    /// The listing of `start` as a start of this session.
    #[must_use]
    pub fn started(&self, start: &Start) -> SessionStart {
        SessionStart {
            user: self.user.clone(),
            session: self.session.clone(),
            country: start.country.clone(),
            ts: start.ts,
        }
    }

    /// This session as completed from `start` to `ended_at`.
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

/// `{"user_id","session_id","ts"}`: the country is the key under which it is listed.
impl Serialize for SessionStart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("SessionStart", 3)?;
        object.serialize_field("user_id", &self.user)?;
        object.serialize_field("session_id", &self.session)?;
        object.serialize_field("ts", &self.ts)?;
        object.end()
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
