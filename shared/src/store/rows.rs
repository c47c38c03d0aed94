//! The values that go into the store and come out of it, the same for every backend.

use crate::{
    event::{SessionId, UserId},
    session::{Absorbed, CompletedSession, Fact, SessionFacts, SessionKey, SessionStart},
    timestamp::Timestamp,
};

/// The facts of one session in one micro-batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The session.
    pub key: SessionKey,
    /// The facts to add. Only the first of equal facts can be new.
    pub facts: Vec<Fact>,
}

/// All facts of a session after those of a [`Sighting`] were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every fact of the session, including those just added.
    pub facts: SessionFacts,
    /// The outcome for each fact of the sighting, in the sighting's order.
    pub absorbed: Vec<Absorbed>,
}

/// One row to add.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// List a start in its country.
    RecordStart(SessionStart),
    /// List a session as completed.
    Complete(CompletedSession),
    /// Add a marker: the start is not, or no longer, the canonical one of its session.
    SupersedeStart(SessionStart),
    /// Add a marker: the start and end are not, or no longer, the canonical ones of their session.
    SupersedeCompleted(CompletedSession),
}

/// A half-open interval of time: `from <= ts < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first instant of the window.
    pub from: Timestamp,
    /// The first instant after the window.
    pub to: Timestamp,
}

/// The last start of a page; the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPosition {
    /// Time of the start.
    pub ts: Timestamp,
    /// Its session.
    pub session: SessionId,
    /// Its user.
    pub user: UserId,
}

/// The last session of a page; the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPosition {
    /// The time that orders the list: the end of a completed session or an orphan, the start of
    /// an open session.
    pub ts: Timestamp,
    /// The session.
    pub session: SessionId,
}

impl From<&SessionStart> for StartPosition {
    fn from(start: &SessionStart) -> Self {
        Self { ts: start.ts, session: start.session.clone(), user: start.user.clone() }
    }
}

impl Effect {
    /// Start of the session in this row: retention counts from it.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        match self {
            Self::RecordStart(row) | Self::SupersedeStart(row) => row.ts,
            Self::Complete(row) | Self::SupersedeCompleted(row) => row.started_at,
        }
    }
}

impl Window {
    /// The part of this window at or after `horizon`.
    #[must_use]
    pub fn clip(self, horizon: Timestamp) -> Self {
        Self { from: self.from.max(horizon), to: self.to }
    }
}
