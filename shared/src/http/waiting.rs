//! The connections that wait for a request, and how long each may wait.
//!
//! The timer of the HTTP library does not tell a client that is slow with its headers from one that
//! has no request at the moment. The times differ here, so the library has no timer.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::AbortHandle;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::{Activity, Phase};

/// The time that a client has to close a connection that takes no further request.
const LEAVING: Duration = Duration::from_secs(1);
/// A limit without end.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
    /// Whether it says to its client that it ends, and ends then.
    leaves: bool,
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
    seen: Option<(Phase, Instant)>,
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

    /// Closes every connection that waits for a request, now or later, unless it leaves by itself.
    pub(super) fn close_all(&self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        waiting.connections.retain(|_, connection| {
            if !connection.leaves {
                connection.handle.abort();
            }
            connection.leaves
        });
    }

    /// Adds a connection and returns its place.
    fn enter(&self, connection: WaitingConnection) -> u64 {
        let mut waiting = self.0.lock();
        let place = waiting.next;
        waiting.next += 1;
        if waiting.closed && !connection.leaves {
            connection.handle.abort();
        } else {
            waiting.connections.insert(place, connection);
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
            self.begin(now);
        }
        if self.limit(now.0).is_some() {
            ready!(self.deadline.as_mut().poll(cx));
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Completes with the outcome of `work`, or fails when the connection has waited too long.
    pub(super) async fn within<T>(
        &mut self,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => self.poll_expired(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        })
        .await
    }

    fn begin(&mut self, (phase, since): (Phase, Instant)) {
        self.leave();
        if matches!(phase, Phase::New | Phase::Idle) {
            let (idle, leaves) = (phase == Phase::Idle, self.activity.is_http2());
            let connection = WaitingConnection { idle, leaves, handle: self.handle.clone() };
            self.place = Some(self.waiting.enter(connection));
        }
        if let Some(limit) = self.limit(phase) {
            let deadline = since.checked_add(limit).unwrap_or_else(|| since + FAR);
            self.deadline.as_mut().reset(deadline);
        }
    }

    fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::New | Phase::Head => Some(self.limits.head),
            Phase::Idle => Some(self.limits.idle),
            Phase::Leaving => Some(LEAVING),
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
