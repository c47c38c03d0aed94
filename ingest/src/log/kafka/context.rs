//! The callbacks of a librdkafka client: its log lines, rate-limited by kind, and whether any
//! broker can be reached. A callback never blocks.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use rdkafka::{ClientContext, config::RDKafkaLogLevel, error::KafkaError, types::RDKafkaErrorCode};
use shared::telemetry::Repeats;

use super::throttle::Throttle;

/// The callbacks of one client.
pub(super) struct Context {
    client: &'static str,
    health: Arc<Health>,
    throttle: Option<Arc<Throttle>>,
    /// The addresses to name in log lines about connections. Without them there are none: the
    /// caller of a client for one request reports its error.
    brokers: Option<String>,
    lines: Repeats,
}

/// Whether any broker can be reached, and the last error if none can.
#[derive(Default)]
pub(super) struct Health {
    down: AtomicBool,
    /// A broker has replied before.
    was_up: AtomicBool,
    cause: Mutex<String>,
    changed: Condvar,
    /// The driver has declared the client unusable: only a new client helps.
    given_up: AtomicBool,
    lines: Repeats,
}

impl Context {
    /// Callbacks for the client named `client`, which report its state to `health`.
    pub(super) fn new(client: &'static str, health: Arc<Health>) -> Self {
        Self { client, health, throttle: None, brokers: None, lines: Repeats::default() }
    }

    /// Logs when no broker can be reached at `brokers`.
    pub(super) fn naming(mut self, brokers: &str) -> Self {
        self.brokers = Some(brokers.to_owned());
        self
    }

    /// Reports to `throttle` how long the brokers throttle the client.
    pub(super) fn with_throttle(mut self, throttle: &Arc<Throttle>) -> Self {
        self.throttle = Some(Arc::clone(throttle));
        self
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// The number of suppressed lines of a kind since the last one; `None` if this one is too.
    pub(super) fn due(&self, kind: &str) -> Option<u64> {
        self.lines.due(kind)
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

    /// The error while no broker can be reached at `brokers`.
    pub(super) fn unreachable(&self, brokers: &str) -> String {
        match self.cause() {
            cause if cause.is_empty() => format!("no broker can be reached at {brokers}"),
            cause => format!("no broker can be reached at {brokers}: {cause}"),
        }
    }

    /// Records that a broker has replied.
    pub(super) fn up(&self) {
        self.was_up.store(true, Ordering::Relaxed);
        if self.is_down() {
            self.down.store(false, Ordering::Relaxed);
            if let Some(suppressed) = self.lines.due("up") {
                tracing::info!(suppressed, "a Kafka broker can be reached again");
            }
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
            // The driver's text is about its count of connections, which changes meanwhile.
            Some(RDKafkaErrorCode::AllBrokersDown) => {
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

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        let is_severe = !matches!(
            level,
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug
        );
        // The driver also reports a connection that fails as an error.
        if kind == "FAIL" && is_severe {
            return;
        }
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

    fn stats_raw(&self, statistics: &[u8]) {
        if let Some(throttle) = &self.throttle {
            throttle.read(statistics);
        }
    }

    fn error(&self, error: KafkaError, cause: &str) {
        // Expected by the readers that enable this event.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.health.failed(&error, innermost(cause));
        let code = error.rdkafka_error_code();
        if let Some(code) = code.filter(|code| is_of_a_connection(*code)) {
            return self.disconnected(code, cause);
        }
        let kind = code.map_or(Cow::Borrowed("?"), |code| format!("{code:?}").into());
        if let Some(suppressed) = self.lines.due(&kind) {
            tracing::warn!(target: "librdkafka", client = self.client, %error, suppressed, "{cause}");
        }
    }
}

impl Context {
    /// Reports the failure of a connection in one line for all brokers and errors.
    fn disconnected(&self, code: RDKafkaErrorCode, cause: &str) {
        let Some(brokers) = &self.brokers else { return };
        let (client, kind) = (self.client, format!("{code:?}"));
        if code == RDKafkaErrorCode::AllBrokersDown {
            if let Some(suppressed) = self.lines.due(&kind) {
                let text = self.health.unreachable(brokers);
                tracing::warn!(target: "librdkafka", client, suppressed, "{text}; check --kafka-brokers and --kafka-security");
            }
        } else if self.health.was_up.load(Ordering::Relaxed) {
            // Before the first connection, all brokers are about to be reported as one.
            if let Some(suppressed) = self.lines.due(&kind) {
                tracing::warn!(target: "librdkafka", client, suppressed, "{cause}");
            }
        }
    }
}

/// Whether an error says that a connection could not be made or broke.
fn is_of_a_connection(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_all_break_at_once_are_brokers_that_cannot_be_reached() {
        let health = Arc::<Health>::default();
        let context = Context::new("test", Arc::clone(&health));
        let down = || KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        context.error(down(), "0/3 brokers are down");
        assert!(health.is_down());
        let text = health.unreachable("kafka-1:9092,kafka-2:9092");
        assert_eq!(text, "no broker can be reached at kafka-1:9092,kafka-2:9092");
        context.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "refused");
        context.error(down(), "3/3 brokers are down");
        let text = health.unreachable("kafka-1:9092");
        assert_eq!(text, "no broker can be reached at kafka-1:9092: refused");
    }
}
