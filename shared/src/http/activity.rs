//! The phase of a connection, seen from outside the HTTP library: by the bytes that it receives and
//! sends, its requests, and the bodies of its replies. Nothing here decides how long a phase lasts.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::frames::Frames;

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for its first request.
    New,
    /// It has received a part of the headers of a request.
    Head,
    /// A request is being answered. Only strangers have sent some, or also a caller with a valid
    /// key.
    Busy { strangers: bool },
    /// All of its requests are answered. A part of the next one that came together with the last
    /// one does not count: the library holds it.
    Idle,
    /// It takes no further request, and all are answered.
    Leaving,
    /// Everything is sent, and the client may still send for a moment.
    Closing,
}

/// The phase of one connection. Only the task of the connection changes it.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    frames: Frames,
    /// The number of requests that are not answered.
    open: usize,
    requests: u64,
    /// Whether none of them had a valid key that the service asks for.
    strangers: bool,
    began: Instant,
    /// When the headers began that are incomplete.
    head: Option<Instant>,
    /// Since when a request is being answered.
    busy: Instant,
    /// When the last request was answered.
    answered: Instant,
    /// Whether the client has not taken yet what was written.
    unsent: bool,
    /// Since when it takes no further request.
    leaving: Option<Instant>,
    closing: bool,
}

impl Activity {
    /// The activity of a connection that began at `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self(Mutex::new(State {
            frames: Frames::default(),
            open: 0,
            requests: 0,
            strangers: true,
            began,
            head: None,
            busy: began,
            answered: began,
            unsent: false,
            leaving: None,
            closing: false,
        }))
    }

    /// These bytes were received.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.frames.received(bytes);
        let in_headers = if state.frames.is_http2() {
            state.frames.in_headers()
        } else {
            state.open == 0 || state.head.is_some()
        };
        match (in_headers, state.head) {
            // The first request has the time since the connection began.
            (true, None) if state.requests == 0 => state.head = Some(state.began),
            (true, None) => state.head = Some(Instant::now()),
            (true, Some(_)) => {}
            (false, _) => state.head = None,
        }
    }

    /// The headers of a request are complete.
    pub(super) fn begun(&self) {
        let mut state = self.0.lock();
        if !state.frames.is_http2() {
            state.head = None;
        }
        if state.open == 0 {
            state.busy = Instant::now();
        }
        state.open += 1;
        state.requests += 1;
    }

    /// A request is not that of a stranger.
    pub(super) fn recognized(&self) {
        self.0.lock().strangers = false;
    }

    /// The library has the whole reply to a request.
    pub(super) fn answered(&self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.answered = Instant::now();
    }

    /// The connection took all of the bytes to write, or none of them.
    pub(super) fn written(&self, taken: bool) {
        let mut state = self.0.lock();
        // A client of HTTP/2 chooses what is written to it: it may send PING frames.
        if taken && state.unsent && !state.frames.is_http2() {
            state.answered = Instant::now();
        }
        state.unsent = !taken;
    }

    /// It takes no further request.
    pub(super) fn leave(&self) {
        self.0.lock().leaving.get_or_insert_with(Instant::now);
    }

    /// Whether it takes no further request.
    pub(super) fn is_leaving(&self) -> bool {
        self.0.lock().leaving.is_some()
    }

    /// Everything is sent, and the connection is being closed.
    pub(super) fn closing(&self) {
        self.0.lock().closing = true;
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.0.lock().open > 0
    }

    /// Whether the client speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.0.lock().frames.is_http2()
    }

    /// The phase, and when it began.
    pub(super) fn now(&self) -> (Phase, Instant) {
        let state = self.0.lock();
        match *state {
            State { closing: true, answered, .. } => (Phase::Closing, answered),
            State { head: Some(begun), .. } => (Phase::Head, begun),
            State { open: 0, unsent: false, leaving: Some(leaving), answered, .. } => {
                (Phase::Leaving, leaving.max(answered))
            }
            State { requests: 0, began, .. } => (Phase::New, began),
            State { open: 0, unsent: false, answered, .. } => (Phase::Idle, answered),
            State { busy, strangers, .. } => (Phase::Busy { strangers }, busy),
        }
    }
}
