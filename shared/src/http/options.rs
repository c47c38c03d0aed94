//! The limits on connections and on a shutdown, with their defaults.

use std::{future::ready, num::NonZero, time::Duration};

use futures_util::future::BoxFuture;

use crate::config::{Bytes, Settings};

/// The least value of --max-reply-bytes: with less, few replies fit at a time.
const LEAST_REPLY_BYTES: u64 = 1 << 20;

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// The number of connections that may be open. The next one replaces the connection that has
    /// been idle longest, then one that has sent no complete request for 1 s, then one with
    /// requests of strangers alone for 1 s; if there is none, it gets a 503 and is closed. Also the
    /// number of requests of HTTP/2 that may be in flight beside the first one of each connection,
    /// a quarter of them without a valid key; the next one gets a 503.
    pub max_connections: usize,
    /// The time that a client may take for a request's headers, and for its first request.
    pub header_timeout: Duration,
    /// The time that a connection may be idle after an answered request.
    pub idle_timeout: Duration,
    /// The time for which a client may leave a reply unread before its connection is closed, or,
    /// with HTTP/2, the reply is given up.
    pub write_timeout: Duration,
    /// The bytes that all replies may hold until their clients have taken them. The next reply is
    /// a 503.
    pub max_reply_bytes: usize,
    /// The time after the begin of a shutdown in which new requests are still answered.
    pub drain_window: Duration,
    /// The time that the requests in flight may take after the drain window.
    pub drain_timeout: Duration,
}

impl ServeOptions {
    /// Reads the settings and records mistakes in `given`.
    pub(crate) fn read(given: &mut Settings) -> Self {
        let reply_bytes = given.get_or("max-reply-bytes", Bytes(LEAST_REPLY_BYTES)).0;
        if reply_bytes < LEAST_REPLY_BYTES {
            given.mistake("max-reply-bytes", "must be at least 1MiB");
        }
        Self {
            max_connections: given.get_or("max-connections", NonZero::<usize>::MIN).get(),
            header_timeout: given.duration("header-timeout"),
            idle_timeout: given.duration("idle-timeout"),
            write_timeout: given.duration("write-timeout"),
            max_reply_bytes: usize::try_from(reply_bytes).unwrap_or(usize::MAX),
            drain_window: given.duration("drain-window"),
            drain_timeout: given.duration("drain-timeout"),
        }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_reply_bytes: 128 << 20,
            drain_window: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// What ends the drain window before its time.
pub struct DrainEnd(pub(super) BoxFuture<'static, ()>);

impl DrainEnd {
    /// Ends the window when `signal` completes.
    pub fn when(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(signal))
    }

    /// Ends the window as soon as it begins.
    #[must_use]
    pub fn at_once() -> Self {
        Self::when(ready(()))
    }
}
