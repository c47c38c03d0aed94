//! The quotas: the number of events per second of a key, and of a client address.
//!
//! A batch is charged to both or to neither, so both buckets are under one lock. A bucket is the
//! instant at which it will be full again, which is all that its content depends on.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use shared::access::{Key, KeyId};

/// The number of batches after which full buckets are dropped.
const FORGET_EVERY: usize = 4_096;

/// The network part of an IPv6 address: one customer has all addresses of it.
const NETWORK: u128 = !0 << 64;

/// The token buckets of all callers. A bucket holds the events of a second, and at least a batch of
/// the largest size.
#[derive(Debug)]
pub(super) struct Quotas {
    per_address: Option<NonZeroU32>,
    max_events: u64,
    full_at: Mutex<FullAt>,
}

/// When the buckets that are not full will be.
#[derive(Debug, Default)]
struct FullAt {
    buckets: HashMap<Bucket, Instant>,
    batches: usize,
}

/// The owner of a bucket.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Bucket {
    Key(KeyId),
    Address(IpAddr),
}

impl Quotas {
    /// Allows `per_address` events per second of one address, and batches of up to `max_events`.
    pub(super) fn new(per_address: Option<NonZeroU32>, max_events: usize) -> Self {
        Self { per_address, max_events: max_events as u64, full_at: Mutex::default() }
    }

    /// Takes `events` from the buckets of `key` and `client` at `now`. The error is the number of
    /// seconds until both hold as many; then none is taken.
    pub(super) fn charge(
        &self,
        key: Option<&Key>,
        client: Option<IpAddr>,
        events: usize,
        now: Instant,
    ) -> Result<(), u64> {
        let of_key = key.and_then(|key| Some((Bucket::Key(key.id.clone()), key.quota?)));
        let of_address = client
            .and_then(|client| Some((Bucket::Address(subscriber(client)), self.per_address?)));
        let charged: Vec<_> = of_key.into_iter().chain(of_address).collect();
        if charged.is_empty() {
            return Ok(());
        }
        let mut full_at = self.full_at.lock();
        full_at.forget_full(now);
        let (mut charges, mut wait) = (Vec::new(), Duration::ZERO);
        for (bucket, rate) in charged {
            let before = full_at.buckets.get(&bucket).map_or(now, |at| now.max(*at));
            let after = before + time_of(events as u64, rate);
            let most = time_of(self.max_events.max(rate.get().into()), rate);
            wait = wait.max((after - now).saturating_sub(most));
            charges.push((bucket, after));
        }
        if !wait.is_zero() {
            return Err(wait.as_nanos().div_ceil(1_000_000_000) as u64);
        }
        full_at.buckets.extend(charges);
        Ok(())
    }
}

impl FullAt {
    fn forget_full(&mut self, now: Instant) {
        self.batches += 1;
        if self.batches.is_multiple_of(FORGET_EVERY) {
            self.buckets.retain(|_, at| *at > now);
        }
    }
}

/// The time in which `rate` allows `events`.
fn time_of(events: u64, rate: NonZeroU32) -> Duration {
    Duration::from_nanos(events.saturating_mul(1_000_000_000) / u64::from(rate.get()))
}

/// What counts as one client: an IPv4 address, or a network of IPv6.
fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use shared::access::{Right, Rights};

    use super::*;

    fn key(id: &str, quota: u32) -> Key {
        Key {
            id: id.parse().unwrap(),
            rights: Rights::from_iter([Right::Ingest]),
            quota: NonZeroU32::new(quota),
            origins: Vec::new(),
            expires: None,
            users_prefix: None,
        }
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn quotas(per_address: u32, max_events: usize) -> Quotas {
        Quotas::new(NonZeroU32::new(per_address), max_events)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_holds_a_second_or_a_batch_and_fills_with_the_rate() {
        for (rate, max_events, held) in [(10, 5, 10), (2, 10, 10)] {
            let (quotas, now) = (quotas(rate, max_events), Instant::now());
            let charge = |events, now| quotas.charge(None, address("192.0.2.1"), events, now);
            assert_eq!(charge(held, now), Ok(()));
            assert_eq!(charge(1, now), Err(1));
            let rate = rate as usize;
            assert_eq!(charge(held, now), Err((held / rate) as u64));
            assert_eq!(charge(rate + 1, now + SECOND), Err(1));
            assert_eq!(charge(rate, now + SECOND), Ok(()));
            assert_eq!(charge(1, now + SECOND), Err(1));
            // A full bucket does not become fuller.
            assert_eq!(charge(held, now + 1_000 * SECOND), Ok(()));
            assert_eq!(charge(1, now + 1_000 * SECOND), Err(1));
        }
    }

    #[test]
    fn a_batch_passes_when_the_time_is_over_that_its_refusal_said() {
        let (quotas, now) = (quotas(3, 7), Instant::now());
        let charge = |events, now| quotas.charge(None, address("192.0.2.1"), events, now);
        assert_eq!(charge(7, now), Ok(()));
        let seconds = charge(7, now).unwrap_err();
        assert_eq!(seconds, 3);
        assert_eq!(charge(7, now + 2 * SECOND), Err(1));
        assert_eq!(charge(7, now + 3 * SECOND), Ok(()));
    }

    #[test]
    fn key_and_address_are_charged_together_or_not_at_all() {
        let (quotas, now) = (quotas(10, 10), Instant::now());
        let (small, large) = (key("small", 4), key("large", 100));
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        // The bucket of the key holds a batch.
        assert_eq!(quotas.charge(Some(&small), here, 8, now), Ok(()));
        // Refused by the key: the address keeps its 2.
        assert_eq!(quotas.charge(Some(&small), there, 4, now), Err(1));
        assert_eq!(quotas.charge(None, there, 10, now), Ok(()));
        // Refused by both, and then by the address alone: the keys lose nothing.
        assert_eq!(quotas.charge(Some(&small), here, 3, now), Err(1));
        assert_eq!(quotas.charge(Some(&small), here, 2, now), Ok(()));
        assert_eq!(quotas.charge(Some(&large), here, 1, now), Err(1));
        assert_eq!(quotas.charge(Some(&large), None, 100, now), Ok(()));
        // The longer wait counts.
        assert_eq!(quotas.charge(Some(&small), here, 10, now), Err(3));
    }

    #[test]
    fn callers_without_a_quota_are_not_limited() {
        let (none, now) = (Quotas::new(None, 1), Instant::now());
        let mut free = key("free", 1);
        free.quota = None;
        for _ in 0..3 {
            assert_eq!(none.charge(None, address("192.0.2.1"), 1_000, now), Ok(()));
            assert_eq!(none.charge(Some(&free), address("192.0.2.1"), 1_000, now), Ok(()));
            assert_eq!(quotas(1, 1).charge(None, None, 1_000, now), Ok(()));
        }
        assert_eq!(none.charge(Some(&key("web", 1)), None, 1, now), Ok(()));
        assert_eq!(none.charge(Some(&key("web", 1)), None, 1, now), Err(1));
        assert_eq!(none.charge(Some(&key("other", 1)), None, 1, now), Ok(()));
    }

    #[test]
    fn a_client_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        let is_one = |one: &str, other: &str| {
            let (quotas, now) = (quotas(1, 1), Instant::now());
            assert_eq!(quotas.charge(None, address(one), 1, now), Ok(()));
            quotas.charge(None, address(other), 1, now).is_err()
        };
        assert!(is_one("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
        assert!(!is_one("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(is_one("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!is_one("192.0.2.1", "192.0.2.2"));
        assert!(!is_one("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }

    #[test]
    fn full_buckets_are_dropped_and_others_kept() {
        let (quotas, now) = (quotas(1, 10), Instant::now());
        assert_eq!(quotas.charge(None, address("192.0.2.1"), 10, now), Ok(()));
        for last in 0..FORGET_EVERY as u32 {
            let client = Some(IpAddr::from(last.to_be_bytes()));
            assert_eq!(quotas.charge(None, client, 1, now + SECOND), Ok(()));
        }
        let later = now + 2 * SECOND;
        for _ in 0..FORGET_EVERY {
            assert_eq!(quotas.charge(None, address("192.0.2.1"), 10, later), Err(8));
        }
        assert_eq!(quotas.full_at.lock().buckets.len(), 1);
    }

    proptest! {
        /// Against buckets that are filled step by step.
        #[test]
        fn charges_agree_with_counted_tokens(
            steps in prop::collection::vec((0_u32..3, prop::option::of(0_usize..2), 1_usize..9), 1..60),
        ) {
            let (quotas, begin) = (quotas(2, 8), Instant::now());
            let keys = [key("a", 1), key("b", 16)];
            let mut tokens = BTreeMap::from([("a", 8_u32), ("b", 16), ("address", 8)]);
            let mut now = begin;
            for (seconds, chosen, events) in steps {
                now += seconds * SECOND;
                for (name, rate, most) in [("a", 1, 8), ("b", 16, 16), ("address", 2, 8)] {
                    tokens.entry(name).and_modify(|held| *held = most.min(*held + rate * seconds));
                }
                let names = [chosen.map(|at| ["a", "b"][at]), Some("address")];
                let names: Vec<_> = names.into_iter().flatten().collect();
                let fits = names.iter().all(|name| tokens[name] >= events as u32);
                let key = chosen.map(|at| &keys[at]);
                let charged = quotas.charge(key, address("192.0.2.1"), events, now);
                prop_assert_eq!(charged.is_ok(), fits);
                if fits {
                    for name in names {
                        tokens.entry(name).and_modify(|held| *held -= events as u32);
                    }
                }
            }
        }
    }
}
