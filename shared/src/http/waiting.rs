//! The connections that wait for a request, and how long each may wait.
//!
//! The timer of the HTTP library does not tell a client that is slow with its headers from one that
//! has no request at the moment. The times differ here, so the library has no timer.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::AbortHandle;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::{Activity, Phase};

/// The connections of a server that wait for a request, in the order in which they began to wait.
#[derive(Debug, Default)]
pub(super) struct WaitingConnections(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, WaitingConnection>,
    closed: bool,
}

#[derive(Debug)]
struct WaitingConnection {
    /// Whether a request was answered on it.
    idle: bool,
    handle: AbortHandle,
}

/// The times that a connection may wait for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitLimits {
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

/// Watches one connection: ends it when it waits too long, and lists it while others may end it.
pub(super) struct Watch {
    waiting: Arc<WaitingConnections>,
    activity: Arc<Activity>,
    handle: AbortHandle,
    limits: WaitLimits,
    seen: Option<(Phase, u64)>,
    place: Option<u64>,
    /// When the connection has waited too long; counts only in a phase with a limit.
    deadline: Pin<Box<Sleep>>,
}

impl WaitingConnections {
    /// Closes the connection that has been idle longest; returns false if none is idle. The
    /// connection ends a moment later.
    pub(super) fn close_longest_idle(&self) -> bool {
        let mut waiting = self.0.lock();
        let mut idle = waiting.connections.iter().filter(|(_, connection)| connection.idle);
        let Some(place) = idle.next().map(|(place, _)| *place) else { return false };
        if let Some(connection) = waiting.connections.remove(&place) {
            connection.handle.abort();
        }
        true
    }

    /// Closes every connection that waits for a request, now or later.
    pub(super) fn close_all(&self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        for connection in std::mem::take(&mut waiting.connections).into_values() {
            connection.handle.abort();
        }
    }

    /// Adds a connection and returns its place.
    fn enter(&self, idle: bool, handle: &AbortHandle) -> u64 {
        let mut waiting = self.0.lock();
        let place = waiting.next;
        waiting.next += 1;
        if waiting.closed {
            handle.abort();
        } else {
            let handle = handle.clone();
            waiting.connections.insert(place, WaitingConnection { idle, handle });
        }
        place
    }

    fn leave(&self, place: u64) {
        self.0.lock().connections.remove(&place);
    }
}

impl Watch {
    /// Watches the connection with this `activity`, which `handle` ends.
    pub(super) fn new(
        waiting: Arc<WaitingConnections>,
        activity: Arc<Activity>,
        handle: AbortHandle,
        limits: WaitLimits,
    ) -> Self {
        let deadline = Box::pin(sleep(limits.head));
        Self { waiting, activity, handle, limits, seen: None, place: None, deadline }
    }

    /// Completes when the connection has waited too long. Call it whenever the connection may have
    /// changed, in the task of the connection.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.activity.now();
        if self.seen != Some(now) {
            self.seen = Some(now);
            self.begin(now.0);
        }
        if self.limit(now.0).is_some() {
            ready!(self.deadline.as_mut().poll(cx));
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn begin(&mut self, phase: Phase) {
        self.leave();
        if matches!(phase, Phase::New | Phase::Idle) {
            self.place = Some(self.waiting.enter(phase == Phase::Idle, &self.handle));
        }
        if let Some(limit) = self.limit(phase) {
            self.deadline.as_mut().reset(Instant::now() + limit);
        }
    }

    fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::New | Phase::Head => Some(self.limits.head),
            Phase::Idle => Some(self.limits.idle),
            Phase::Busy | Phase::Closing => None,
        }
    }

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.waiting.leave(place);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave();
    }
}
