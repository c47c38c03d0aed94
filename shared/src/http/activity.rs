//! The phase of a connection, seen from outside the HTTP library: by the bytes that it receives and
//! sends, its requests, and the bodies of its replies. Nothing here decides how long a phase lasts.

use parking_lot::Mutex;

/// The phases of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has received nothing yet.
    #[default]
    New,
    /// It has received a part of the headers of a request.
    Head,
    /// A request is being answered.
    Busy,
    /// Its last request is answered. A part of the next one that came together with the last one
    /// does not count: the library holds it.
    Idle,
    /// Its last reply is sent, and the client may still send for a moment.
    Closing,
}

/// The phase of one connection. Only the task of the connection changes it.
#[derive(Debug, Default)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    requests: u64,
    /// Whether the body of the current request was read to its end.
    body_read: bool,
    /// Whether the client has not taken yet what was written.
    unsent: bool,
}

impl Activity {
    /// Bytes were received.
    pub(super) fn received(&self) {
        let mut state = self.0.lock();
        if matches!(state.phase, Phase::New | Phase::Idle) {
            state.phase = Phase::Head;
        }
    }

    /// The headers of a request are complete.
    pub(super) fn begun(&self, body_read: bool) {
        let mut state = self.0.lock();
        state.phase = Phase::Busy;
        state.requests += 1;
        state.body_read = body_read;
    }

    /// The body of the current request was read to its end.
    pub(super) fn body_ended(&self) {
        self.0.lock().body_read = true;
    }

    /// Whether the body of the current request was read to its end.
    pub(super) fn is_body_read(&self) -> bool {
        self.0.lock().body_read
    }

    /// The library has the whole reply to the current request.
    pub(super) fn answered(&self) {
        let mut state = self.0.lock();
        if state.phase == Phase::Busy {
            state.phase = Phase::Idle;
        }
    }

    /// The connection took all of the bytes to write, or none of them.
    pub(super) fn written(&self, taken: bool) {
        self.0.lock().unsent = !taken;
    }

    /// Everything is sent, and the connection is being closed.
    pub(super) fn closing(&self) {
        self.0.lock().phase = Phase::Closing;
    }

    /// The phase, and the number of requests so far, which tells two idle phases apart.
    pub(super) fn now(&self) -> (Phase, u64) {
        let state = self.0.lock();
        match state.phase {
            Phase::Idle if state.unsent => (Phase::Busy, state.requests),
            phase => (phase, state.requests),
        }
    }
}
