//! Retries of the consumer: a passing fault of the store or the log stalls it and loses nothing.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use shared::store::StoreError;

use super::{Consumer, ConsumerError};
use crate::log::LogError;

/// The first pause. It doubles with each retry, with jitter, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Consumer {
    /// Sends `request` to the store until it succeeds, or fails in a way that needs a restart.
    /// While it is refused, [`refusal`](Consumer::refusal) has the cause.
    pub(super) async fn retry_store<T, F>(
        &self,
        operation: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, ConsumerError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let _timer = self.metrics.store_duration(operation).start_timer();
        let refused = AtomicBool::new(false);
        let outcome = request.retry(policy()).when(|error| self.store.may_recover_from(error));
        let outcome = outcome.notify(|error, wait| {
            self.metrics.retried("store");
            if let Some(suppressed) = self.repeats.due(operation) {
                tracing::warn!(
                    operation,
                    %error,
                    ?wait,
                    suppressed,
                    "a request to the store failed; retrying"
                );
            }
            if !matches!(error, StoreError::Unavailable(_)) {
                refused.store(true, Ordering::Relaxed);
                *self.refusal.lock() = Some(error.to_string());
            }
        });
        let done = outcome.await?;
        if refused.into_inner() {
            *self.refusal.lock() = None;
        }
        Ok(done)
    }

    /// The same for a request to the log.
    pub(super) async fn retry_log<T, F>(&self, request: impl Fn() -> F) -> Result<T, ConsumerError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let outcome = request.retry(policy()).when(LogError::is_passing);
        let outcome = outcome.notify(|error, wait| {
            self.metrics.retried("log");
            if let Some(suppressed) = self.repeats.due("log") {
                tracing::warn!(%error, ?wait, suppressed, "a request to the log failed; retrying");
            }
        });
        Ok(outcome.await?)
    }
}

fn policy() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
}
