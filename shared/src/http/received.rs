//! A request as the HTTP library gives it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::{
    Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{HOST, HeaderValue},
};

/// The body of a request; notes when it was read to its end.
pub(super) struct ReceivedBody {
    body: Incoming,
    is_read: Arc<AtomicBool>,
}

impl ReceivedBody {
    /// Sets `is_read` when `body` was read to its end.
    pub(super) fn new(body: Incoming, is_read: Arc<AtomicBool>) -> Self {
        Self { body, is_read }
    }
}

/// Gives a request a path, which CONNECT has not, and the header for the host, in whose place
/// HTTP/2 has another one.
pub(super) fn complete<B>(request: &mut hyper::Request<B>) {
    let host = request.uri().authority().map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = Uri::default();
    }
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_ok = frame.as_ref().is_none_or(Result::is_ok);
        if is_ok && (frame.is_none() || self.body.is_end_stream()) {
            self.is_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
