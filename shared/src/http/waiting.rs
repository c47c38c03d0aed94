//! The connections that may give way to new ones, and how long each may wait for a request.
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

/// The time for which a connection keeps its place though it has no complete request, or only
/// those of strangers.
const GRACE: Duration = Duration::from_secs(1);

/// The connections of a server that may give way, in the order in which they do.
#[derive(Debug, Default)]
pub(super) struct WaitingConnections(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// Those of each rank, by since when they have it.
    connections: [BTreeMap<(Instant, u64), WaitingConnection>; RANKS.len()],
    closed: bool,
}

/// The ranks of connections, in the order in which they give way.
#[derive(Clone, Copy, Debug)]
enum Rank {
    /// All of its requests are answered.
    Idle,
    /// It has not sent a complete request.
    Silent,
    /// It keeps requests of strangers open, and has sent no others.
    Strangers,
}

/// The time for which a connection of each rank does not give way.
const RANKS: [(Rank, Duration); 3] =
    [(Rank::Idle, Duration::ZERO), (Rank::Silent, GRACE), (Rank::Strangers, GRACE)];

/// The rank of a connection, and its position in it.
type Standing = (Rank, (Instant, u64));

#[derive(Debug)]
struct WaitingConnection {
    /// Whether it ends when the server takes no more requests: it waits for one, and cannot say to
    /// its client that it leaves.
    ends: bool,
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
    standing: Option<Standing>,
    /// When the connection has waited too long; counts only in a phase with a limit.
    deadline: Pin<Box<Sleep>>,
}

impl WaitingConnections {
    /// Closes one connection, if any gives way, and returns whether one does: the one that has been
    /// idle longest, or else the oldest of the next rank. It ends a moment later.
    pub(super) fn close_one(&self) -> bool {
        let now = Instant::now();
        let mut waiting = self.0.lock();
        let found = RANKS.into_iter().find_map(|(rank, grace)| {
            let oldest = waiting.connections[rank as usize].first_entry()?;
            (now.duration_since(oldest.key().0) >= grace).then(|| oldest.remove())
        });
        found.inspect(|connection| connection.handle.abort()).is_some()
    }

    /// Closes every connection that waits for a request, now or later, unless it leaves by itself.
    pub(super) fn close_all(&self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        for connections in &mut waiting.connections {
            connections.retain(|_, connection| {
                if connection.ends {
                    connection.handle.abort();
                }
                !connection.ends
            });
        }
    }

    /// Adds a connection that has this rank `since` then, and returns its standing.
    fn enter(&self, rank: Rank, since: Instant, connection: WaitingConnection) -> Standing {
        let mut waiting = self.0.lock();
        let at = (since, waiting.next);
        waiting.next += 1;
        if waiting.closed && connection.ends {
            connection.handle.abort();
        } else {
            waiting.connections[rank as usize].insert(at, connection);
        }
        (rank, at)
    }

    fn leave(&self, (rank, at): Standing) {
        self.0.lock().connections[rank as usize].remove(&at);
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
        Self { waiting, activity, handle, limits, seen: None, standing: None, deadline }
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
        let rank = match phase {
            Phase::Idle => Some(Rank::Idle),
            Phase::New => Some(Rank::Silent),
            Phase::Head if !self.activity.is_answering() => Some(Rank::Silent),
            Phase::Busy { strangers: true } => Some(Rank::Strangers),
            Phase::Head | Phase::Busy { .. } | Phase::Leaving | Phase::Closing => None,
        };
        if let Some(rank) = rank {
            let waits = matches!(phase, Phase::New | Phase::Idle);
            let ends = waits && !self.activity.is_http2();
            let connection = WaitingConnection { ends, handle: self.handle.clone() };
            self.standing = Some(self.waiting.enter(rank, since, connection));
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
            Phase::Busy { .. } | Phase::Closing => None,
        }
    }

    fn leave(&mut self) {
        if let Some(standing) = self.standing.take() {
            self.waiting.leave(standing);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave();
    }
}
