//! The limits of the endpoint.

use std::{num::NonZeroU32, time::Duration};

use shared::access::TrustedProxies;

/// Limits on what a client may send.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// The largest number of events in a batch.
    pub max_events: usize,
    /// The largest body, before and after decompression, in bytes.
    pub max_body_bytes: usize,
    /// The largest number of bytes that all bodies in flight may hold together.
    pub max_inflight_bytes: usize,
    /// The time that a client may take to send a body.
    pub body_timeout: Duration,
    /// The time that an append may take before the client is asked to try again.
    pub append_timeout: Duration,
    /// The time by which an event may be later than the service's clock, in milliseconds.
    pub future_tolerance_ms: i64,
    /// The number of events per second that one client address may send; `None` for no limit.
    pub quota_events_per_second: Option<NonZeroU32>,
    /// The proxies that report the address of a client.
    pub trusted_proxies: TrustedProxies,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            max_body_bytes: 1 << 20,
            max_inflight_bytes: 64 << 20,
            body_timeout: Duration::from_secs(15),
            append_timeout: Duration::from_secs(12),
            future_tolerance_ms: 5 * shared::timestamp::MINUTE,
            quota_events_per_second: None,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}
