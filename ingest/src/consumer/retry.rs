//! Trying again: a passing fault of the store or the log stalls the consumer and never costs a record.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use shared::store::StoreError;

use super::{Consumer, ConsumerError};
use crate::log::LogError;

/// The wait doubles from the first to the second, with jitter, and stays there.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(5);

impl Consumer {
    /// Does `request` until it succeeds, or fails in a way that only a restart mends.
    pub(super) async fn retry_store<T, F>(
        &self,
        operation: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, ConsumerError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let _timer = self.metrics.store_duration(operation).start_timer();
        let outcome =
            request.retry(policy()).when(|error| matches!(error, StoreError::Unavailable(_)));
        let outcome = outcome.notify(|error, wait| {
            self.metrics.retried("store");
            tracing::warn!(operation, %error, ?wait, "the store is asked again");
        });
        Ok(outcome.await?)
    }

    /// The same for the log.
    pub(super) async fn retry_log<T, F>(&self, request: impl Fn() -> F) -> Result<T, ConsumerError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let outcome = request.retry(policy()).when(|error| matches!(error, LogError::Busy(_)));
        let outcome = outcome.notify(|error, wait| {
            self.metrics.retried("log");
            tracing::warn!(%error, ?wait, "the log is asked again");
        });
        Ok(outcome.await?)
    }
}

fn policy() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
}
