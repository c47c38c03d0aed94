//! What a client of librdkafka tells us beside its answers: its lines for our log, few of each kind, and whether any broker can
//! be reached. Its callbacks never block.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{ClientContext, config::RDKafkaLogLevel, error::KafkaError, types::RDKafkaErrorCode};

/// A line of one kind is written at most once in this time; how many were left out is said with the next.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Kinds of lines that are remembered at most.
const KINDS: usize = 64;

/// What is told of one client.
pub(super) struct Context {
    client: &'static str,
    health: Arc<Health>,
    lines: Lines,
}

/// Whether any broker can be reached, and if none, what was said of it last.
#[derive(Default)]
pub(super) struct Health {
    down: AtomicBool,
    cause: Mutex<String>,
    changed: Condvar,
    /// The driver has given this client up: only another one helps.
    given_up: AtomicBool,
}

#[derive(Default)]
struct Lines(Mutex<HashMap<String, (Instant, u64)>>);

impl Context {
    /// For the client that does `client`, whose state is told to `health`.
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

    /// What was said last of brokers that cannot be reached.
    pub(super) fn cause(&self) -> String {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A broker has answered.
    pub(super) fn up(&self) {
        if self.is_down() {
            self.down.store(false, Ordering::Relaxed);
            tracing::info!("a broker can be reached again");
        }
    }

    /// Waits, at most for `limit`, until no broker can be reached.
    pub(super) fn wait_until_down(&self, limit: Duration) -> bool {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(cause, limit, |_| !self.is_down());
        drop(waited);
        self.is_down()
    }

    fn failed(&self, error: &KafkaError, cause: &str) {
        let mut last = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Lines {
    /// How many lines of this kind were left out since the last that was written; `None` when this one is left out too.
    fn due(&self, kind: &str) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((written, left_out)) = kinds.get_mut(kind) {
            if written.elapsed() < LINE_INTERVAL {
                *left_out += 1;
                return None;
            }
            *written = Instant::now();
            return Some(std::mem::take(left_out));
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
        let Some(left_out) = self.lines.due(kind) else { return };
        let client = self.client;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", client, kind, left_out, "{line}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", client, kind, left_out, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", client, kind, "{line}"),
        }
    }

    fn error(&self, error: KafkaError, cause: &str) {
        // Where a reader of the whole log asked to be told.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.health.failed(&error, cause);
        let kind = error
            .rdkafka_error_code()
            .map_or(Cow::Borrowed("?"), |code| format!("{code:?}").into());
        if let Some(left_out) = self.lines.due(&kind) {
            tracing::warn!(target: "librdkafka", client = self.client, %error, left_out, "{cause}");
        }
    }
}
