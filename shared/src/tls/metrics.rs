//! The metrics of the certificate.

use prometheus::{IntGauge, Registry};

/// The metrics of the certificate.
#[derive(Debug)]
pub(super) struct TlsMetrics {
    pub(super) reload_ok: IntGauge,
    pub(super) expiry: IntGauge,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            reload_ok: gauge(
                "bookend_tls_reload_ok",
                "Whether the files of the TLS certificate are those that are used: 1, or 0 when they \
                 cannot be used and the earlier ones are",
            )?,
            expiry: gauge(
                "bookend_tls_certificate_expiry_timestamp_seconds",
                "Time at which the TLS certificate in use expires, in seconds since 1970",
            )?,
        })
    }
}
