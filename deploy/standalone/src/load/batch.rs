//! Collects lines into batches, the bodies of requests, within the limits of the service.

use bytes::Bytes;
use tokio::sync::mpsc;

/// The longest body that the service accepts by default.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The body of a request: one event per line.
#[derive(Clone, Debug)]
pub(super) struct RequestBatch {
    pub(super) body: Bytes,
    pub(super) events: usize,
}

/// Collects lines into batches and sends them to a channel. Blocks while the channel is full, so it
/// holds at most one batch.
#[derive(Debug)]
pub(super) struct Batcher {
    body: Vec<u8>,
    events: usize,
    most_events: usize,
    left: Left,
    batches: mpsc::Sender<RequestBatch>,
}

/// Lines that were read but not sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// Lines that are too long for a body.
    pub(super) too_long: u64,
    /// Events of batches after the receiver was closed.
    pub(super) unsent: usize,
}

impl RequestBatch {
    /// Splits the batch in two, the first of which is never larger; `None` for a single event.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        let first = self.events / 2;
        let (cut, _) = self
            .body
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(first.checked_sub(1)?)?;
        let half = |body, events| Self { body, events };
        Some([
            half(self.body.slice(..=cut), first),
            half(self.body.slice(cut + 1..), self.events - first),
        ])
    }
}

impl Batcher {
    pub(super) fn new(most_events: usize, batches: mpsc::Sender<RequestBatch>) -> Self {
        Self { body: Vec::new(), events: 0, most_events, left: Left::default(), batches }
    }

    /// Adds a line, with or without its newline. Skips a blank line and counts a line that is too
    /// long. Returns false if the receiver is closed.
    pub(super) fn push(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return true;
        }
        if line.len() >= MOST_BYTES {
            self.skip();
            return true;
        }
        let open = self.body.len() + line.len() < MOST_BYTES || self.send();
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.events += 1;
        open && (self.events < self.most_events || self.send())
    }

    /// Counts a line that is too long.
    pub(super) fn skip(&mut self) {
        self.left.too_long += 1;
    }

    /// Sends the last batch and returns what was not sent.
    pub(super) fn finish(mut self) -> Left {
        self.send();
        self.left
    }

    fn send(&mut self) -> bool {
        if self.events == 0 {
            return true;
        }
        // The next batch is probably about as large as this one.
        let next = Vec::with_capacity((self.body.len() + self.body.len() / 8).min(MOST_BYTES));
        let body = Bytes::from(std::mem::replace(&mut self.body, next));
        let events = std::mem::take(&mut self.events);
        let sent = self.batches.blocking_send(RequestBatch { body, events });
        if sent.is_err() {
            self.left.unsent += events;
        }
        sent.is_ok()
    }
}
