//! Collects events into batches, the bodies of requests, within the limits of the service.

use bytes::Bytes;
use tokio::sync::mpsc;

/// The longest body that the service accepts by default.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Where an event is in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The position of the file on the command line.
    pub(super) file: u32,
    pub(super) at: At,
}

/// Where an event is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// A line, counted from 1.
    Line(u64),
    /// An element of an array, counted from 0.
    Index(u64),
}

/// The body of a request: one event per line.
#[derive(Clone, Debug)]
pub(super) struct RequestBatch {
    pub(super) body: Bytes,
    /// The place of each event of the body.
    pub(super) places: Vec<Place>,
    /// The events that are too long for a body, and so not in this one.
    pub(super) too_long: Vec<Place>,
}

/// Collects events into batches and sends them to a channel. Blocks while the channel is full, so
/// it holds at most one batch.
#[derive(Debug)]
pub(super) struct Batcher {
    body: Vec<u8>,
    places: Vec<Place>,
    too_long: Vec<Place>,
    most_events: usize,
    /// Events of batches after the receiver was closed.
    unsent: usize,
    batches: mpsc::Sender<RequestBatch>,
}

impl RequestBatch {
    /// The number of events, also of those that are too long.
    pub(super) fn events(&self) -> usize {
        self.places.len() + self.too_long.len()
    }

    /// Splits the body in two, the first of which is never larger; `None` for a single event.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        let first = self.places.len() / 2;
        let (cut, _) = self
            .body
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(first.checked_sub(1)?)?;
        let half =
            |body, places: &[Place]| Self { body, places: places.to_vec(), too_long: Vec::new() };
        let (before, after) = self.places.split_at(first);
        Some([half(self.body.slice(..=cut), before), half(self.body.slice(cut + 1..), after)])
    }
}

impl Batcher {
    pub(super) fn new(most_events: usize, batches: mpsc::Sender<RequestBatch>) -> Self {
        let (body, places, too_long) = (Vec::new(), Vec::new(), Vec::new());
        Self { body, places, too_long, most_events, unsent: 0, batches }
    }

    /// Adds the event in `line`, with or without its newline. Skips a blank line. Returns false if
    /// the receiver is closed.
    pub(super) fn push(&mut self, line: &[u8], place: Place) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return true;
        }
        if line.len() >= MOST_BYTES {
            return self.skip(place);
        }
        let open = self.body.len() + line.len() < MOST_BYTES || self.send();
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.places.push(place);
        open && self.send_if_full()
    }

    /// Counts an event that is too long for a body. Returns false if the receiver is closed.
    pub(super) fn skip(&mut self, place: Place) -> bool {
        self.too_long.push(place);
        self.send_if_full()
    }

    /// Sends the last batch, and returns the number of events that were not sent.
    pub(super) fn finish(mut self) -> usize {
        self.send();
        self.unsent
    }

    fn send_if_full(&mut self) -> bool {
        self.places.len().max(self.too_long.len()) < self.most_events || self.send()
    }

    fn send(&mut self) -> bool {
        if self.places.is_empty() && self.too_long.is_empty() {
            return true;
        }
        // The next batch is probably about as large as this one.
        let next = Vec::with_capacity((self.body.len() + self.body.len() / 8).min(MOST_BYTES));
        let places = Vec::with_capacity(self.places.len());
        let batch = RequestBatch {
            body: Bytes::from(std::mem::replace(&mut self.body, next)),
            places: std::mem::replace(&mut self.places, places),
            too_long: std::mem::take(&mut self.too_long),
        };
        let events = batch.events();
        let sent = self.batches.blocking_send(batch);
        if sent.is_err() {
            self.unsent += events;
        }
        sent.is_ok()
    }
}
