//! The callbacks of a librdkafka client: its log lines, rate-limited by kind, and whether any
//! broker can be reached. A callback never blocks.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rdkafka::{ClientContext, config::RDKafkaLogLevel, error::KafkaError, types::RDKafkaErrorCode};

/// The shortest time between two log lines of a kind. Lines in between are counted.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// The number of kinds of lines that are remembered.
const KINDS: usize = 64;

/// The callbacks of one client.
pub(super) struct Context {
    client: &'static str,
    health: Arc<Health>,
    lines: Lines,
}

/// Whether any broker can be reached, and the last error if none can.
#[derive(Default)]
pub(super) struct Health {
    down: AtomicBool,
    cause: Mutex<String>,
    changed: Condvar,
    /// The driver has declared the client unusable: only a new client helps.
    given_up: AtomicBool,
}

#[derive(Default)]
struct Lines(Mutex<HashMap<String, (Instant, u64)>>);

impl Context {
    /// Callbacks for the client named `client`, which report its state to `health`.
    pub(super) fn new(client: &'static str, health: Arc<Health>) -> Self {
        Self { client, health, lines: Lines::default() }
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }
}

impl Health {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// The last error of a connection; empty without one.
    pub(super) fn cause(&self) -> String {
        self.cause.lock().clone()
    }

    /// Records that a broker has replied.
    pub(super) fn up(&self) {
        if self.is_down() {
            self.down.store(false, Ordering::Relaxed);
            tracing::info!("a Kafka broker can be reached again");
        }
    }

    /// Waits until no broker can be reached, at most for `limit`; returns whether that is so.
    pub(super) fn wait_until_down(&self, limit: Duration) -> bool {
        self.changed.wait_while_for(&mut self.cause.lock(), |_| !self.is_down(), limit);
        self.is_down()
    }

    fn failed(&self, error: &KafkaError, cause: &str) {
        let mut last = self.cause.lock();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if last.is_empty() {
                    cause.clone_into(&mut last);
                }
                self.down.store(true, Ordering::Relaxed);
                self.changed.notify_all();
            }
            Some(RDKafkaErrorCode::Fatal) => self.give_up(),
            _ => cause.clone_into(&mut last),
        }
    }
}

/// The cause of a failed connection, without the address and the state that the driver adds to it.
fn innermost(text: &str) -> &str {
    let text = text.split_once(" (after ").map_or(text, |(text, _)| text);
    let failed = text.split_once("Connect to ").and_then(|(_, text)| text.split_once(" failed: "));
    failed.map_or(text, |(_, cause)| cause)
}

impl Lines {
    /// The number of suppressed lines since the last one; `None` if this line is suppressed.
    fn due(&self, kind: &str) -> Option<u64> {
        let mut kinds = self.0.lock();
        if let Some((written, suppressed)) = kinds.get_mut(kind) {
            if written.elapsed() < LINE_INTERVAL {
                *suppressed += 1;
                return None;
            }
            *written = Instant::now();
            return Some(std::mem::take(suppressed));
        }
        if kinds.len() >= KINDS {
            kinds.clear();
        }
        kinds.insert(kind.to_owned(), (Instant::now(), 0));
        Some(0)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        let Some(suppressed) = self.lines.due(kind) else { return };
        let client = self.client;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", client, kind, suppressed, "{line}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", client, kind, suppressed, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", client, kind, "{line}"),
        }
    }

    fn error(&self, error: KafkaError, cause: &str) {
        // Expected by the readers that enable this event.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.health.failed(&error, innermost(cause));
        let kind = error
            .rdkafka_error_code()
            .map_or(Cow::Borrowed("?"), |code| format!("{code:?}").into());
        if let Some(suppressed) = self.lines.due(&kind) {
            tracing::warn!(target: "librdkafka", client = self.client, %error, suppressed, "{cause}");
        }
    }
}
