//! The quota: the number of events per second that one client address may send.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use governor::{DefaultKeyedRateLimiter, RateLimiter, clock::Clock, clock::DefaultClock};

/// The number of requests after which the addresses with a full bucket are dropped.
const FORGET_EVERY: usize = 4_096;

/// A token bucket for each client address.
#[derive(Debug)]
pub(super) struct Quota {
    buckets: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    requests: AtomicUsize,
}

impl Quota {
    /// Allows `rate` events per second, and a burst of at least one full batch of `max_events`.
    pub(super) fn new(rate: u32, max_events: usize) -> Self {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let batch =
            u32::try_from(max_events).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        let quota = governor::Quota::per_second(rate).allow_burst(rate.max(batch));
        Self {
            buckets: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            requests: AtomicUsize::new(0),
        }
    }

    /// Takes `events` from the bucket of `client`. The error is the seconds until it holds them.
    pub(super) fn check(&self, client: IpAddr, events: usize) -> Result<(), u64> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.buckets.retain_recent();
        }
        let Some(events) = u32::try_from(events).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        match self.buckets.check_key_n(&client, events) {
            Ok(Err(until)) => Err(until.wait_time_from(self.clock.now()).as_secs() + 1),
            // A batch never has more events than the burst.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}
