//! The requests of a connection of HTTP/2 that are being answered. They run in the task of the
//! connection and end with it.
//!
//! A stalled reply is noticed here and not in the library: it takes the next piece of a reply only
//! when the client lets it send the last one, and until then asks for nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    static HANDED: Arc<Handed>;
}

/// Since when the library holds a piece of a reply that the client does not let it send.
#[derive(Debug, Default)]
pub(super) struct Handed(Mutex<Option<Instant>>);

/// The answering of a request, and its piece of a reply.
type Answering = (BoxFuture<'static, ()>, Arc<Handed>);

/// Takes the requests that the library begins.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Vec<Answering>>>);

/// The requests that are being answered.
pub(super) struct Streams {
    begun: Begun,
    streams: FuturesUnordered<Stream>,
    write_timeout: Duration,
}

/// A request that is being answered. The library resets the stream when this is dropped early.
struct Stream {
    answering: BoxFuture<'static, ()>,
    handed: Arc<Handed>,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Handed {
    /// That of the stream whose request is being answered; `None` in HTTP/1.1, which sends one
    /// reply at a time.
    pub(super) fn current() -> Option<Arc<Self>> {
        HANDED.try_with(Arc::clone).ok()
    }

    /// The library has a piece of the reply.
    pub(super) fn begin(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// The library asks for the next piece.
    pub(super) fn taken(&self) {
        *self.0.lock() = None;
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, answering: F) {
        let handed = Arc::new(Handed::default());
        let answering = Box::pin(HANDED.scope(Arc::clone(&handed), answering));
        self.0.lock().push((answering, handed));
    }
}

impl Streams {
    /// The streams that the library gives to `begun`. One whose client takes nothing of the reply
    /// for `write_timeout` is reset.
    pub(super) fn new(begun: Begun, write_timeout: Duration) -> Self {
        Self { begun, streams: FuturesUnordered::new(), write_timeout }
    }

    /// Continues to answer. Call it after each poll of the connection, in the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let begun = std::mem::take(&mut *self.begun.0.lock());
        self.streams.extend(begun.into_iter().map(|(answering, handed)| Stream {
            answering,
            handed,
            write_timeout: self.write_timeout,
            stalled: None,
        }));
        while let Poll::Ready(Some(())) = self.streams.poll_next_unpin(cx) {}
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.answering.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let since = *this.handed.0.lock();
        let Some(deadline) = since.and_then(|since| since.checked_add(this.write_timeout)) else {
            this.stalled = None;
            return Poll::Pending;
        };
        let stalled = this.stalled.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if stalled.deadline() != deadline {
            stalled.as_mut().reset(deadline);
        }
        ready!(stalled.as_mut().poll(cx));
        tracing::debug!("a client left a reply unread; its stream is reset");
        Poll::Ready(())
    }
}
