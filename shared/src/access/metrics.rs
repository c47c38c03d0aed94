//! The metrics of access.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Registers the metric of a process without keys: one set of rules serves every process, so each
/// has the series.
pub fn register_without_keys(registry: &Registry) -> prometheus::Result<()> {
    reload_ok(registry).map(|_gauge| ())
}

/// Whether the last look at the file of keys succeeded.
pub(super) fn reload_ok(registry: &Registry) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(
        "bookend_keys_reload_ok",
        "Whether the keys in use are those of the file (0 if it is broken or missing; 1 without --keys)",
    )?;
    gauge.set(1);
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// Registers the counter of requests that were denied access.
pub fn register_denials(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let help = "Number of requests that were denied access, by reason";
    let counter = IntCounterVec::new(Opts::new("bookend_access_refused_total", help), &["reason"])?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}
