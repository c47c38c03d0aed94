//! Lines gathered into batches: the bodies of requests, cut at the service's limits.

use bytes::Bytes;
use tokio::sync::mpsc;

/// The longest body that the service takes.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Some events, a line each.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) events: usize,
}

/// Gathers lines and passes them on in batches. It blocks while the receiver is behind, so it holds one batch at most.
#[derive(Debug)]
pub(super) struct Batcher {
    body: Vec<u8>,
    events: usize,
    most_events: usize,
    left: Left,
    batches: mpsc::Sender<Batch>,
}

/// What was read but never became part of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// Lines that no body could hold.
    pub(super) too_long: u64,
    /// Events of batches that nobody wanted any more.
    pub(super) unwanted: usize,
}

impl Batch {
    /// This batch as two, the first of which is never larger; `None` for a single event.
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
    pub(super) fn new(most_events: usize, batches: mpsc::Sender<Batch>) -> Self {
        Self { body: Vec::new(), events: 0, most_events, left: Left::default(), batches }
    }

    /// Takes a line, with or without its newline. A blank one is skipped, and one that no body could hold is counted.
    /// False when no more are wanted.
    pub(super) fn push(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return true;
        }
        if line.len() >= MOST_BYTES {
            self.skip();
            return true;
        }
        let wanted = self.body.len() + line.len() < MOST_BYTES || self.pass_on();
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.events += 1;
        wanted && (self.events < self.most_events || self.pass_on())
    }

    /// Counts a line that is too long to be sent.
    pub(super) fn skip(&mut self) {
        self.left.too_long += 1;
    }

    /// Passes the last batch on and tells what was left.
    pub(super) fn finish(mut self) -> Left {
        self.pass_on();
        self.left
    }

    fn pass_on(&mut self) -> bool {
        if self.events == 0 {
            return true;
        }
        // The next batch will be about as large as this one.
        let next = Vec::with_capacity((self.body.len() + self.body.len() / 8).min(MOST_BYTES));
        let body = Bytes::from(std::mem::replace(&mut self.body, next));
        let events = std::mem::take(&mut self.events);
        let sent = self.batches.blocking_send(Batch { body, events });
        if sent.is_err() {
            self.left.unwanted += events;
        }
        sent.is_ok()
    }
}
