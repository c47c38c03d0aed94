//! The connection of a client, with limits that a stalled client cannot exceed.
//!
//! A client that does not read its reply is disconnected after a timeout. A client may still send
//! when it gets its reply, for example when its body is too large. The connection then reads and
//! discards for a moment before it closes: closing a socket with unread bytes resets the
//! connection, and the reset can reach the client before it has read the reply.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::activity::Activity;

/// The time for which a client may send nothing after its last reply without closing.
const QUIET: Duration = Duration::from_secs(1);
/// The time for which a client may still send after its last reply.
const LINGER: Duration = Duration::from_secs(5);
/// The bytes that a client may still send after its last reply.
const LINGER_BYTES: usize = 16 << 20;

/// A connection with a limit on a stalled write and on the time that closing takes.
pub(super) struct ClientStream {
    stream: Box<dyn Transport>,
    write_timeout: Duration,
    activity: Arc<Activity>,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// The bytes of a connection, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

/// The limits on what a client may still send after its last reply.
#[derive(Debug)]
struct Lingering {
    until: Instant,
    quiet: Pin<Box<Sleep>>,
    bytes: usize,
}

impl ClientStream {
    /// Wraps `stream`; a write that makes no progress for `write_timeout` fails.
    pub(super) fn new(
        stream: Box<dyn Transport>,
        write_timeout: Duration,
        activity: Arc<Activity>,
    ) -> Self {
        Self { stream, write_timeout, activity, stalled: None, lingering: None }
    }

    fn unless_stalled<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.activity.written(written.is_ready());
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Lingering {
    fn begin() -> Self {
        let (until, quiet) = (Instant::now() + LINGER, Box::pin(sleep(QUIET)));
        Self { until, quiet, bytes: LINGER_BYTES }
    }

    /// Counts `received` bytes.
    fn go_on(&mut self, received: usize) {
        self.bytes = self.bytes.saturating_sub(received);
        self.quiet.as_mut().reset(self.until.min(Instant::now() + QUIET));
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes == 0 { Poll::Ready(()) } else { self.quiet.as_mut().poll(cx) }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = &buf.filled()[before..];
        if !received.is_empty() {
            self.activity.received(received);
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.unless_stalled(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// With TLS, the bytes of a write are encrypted at once and may be sent here only.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() && self.stalled.is_none() {
            return flushed;
        }
        self.unless_stalled(flushed, cx)
    }

    /// Ends the sending side, then discards what still arrives until the client closes its side.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            this.activity.closing();
            let ended = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.unless_stalled(ended, cx))?;
        }
        let lingering = this.lingering.get_or_insert_with(Lingering::begin);
        let mut scratch = [0; 8 << 10];
        loop {
            if lingering.poll_over(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut rest = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => lingering.go_on(rest.filled().len()),
                // The client closed the connection, or reset it.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
