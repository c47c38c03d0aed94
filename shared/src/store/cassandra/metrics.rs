//! The metric of the limit of requests in flight.

use std::sync::{Arc, Weak};

use prometheus::{
    IntGauge, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::CassandraStore;

const NAME: &str = "bookend_store_in_flight_limit";
const HELP: &str = "Number of the consumer's requests to Cassandra that may be in flight, which \
    falls while the nodes cannot keep up; 0 while the store is not open";

/// Reports the limit of a store, until the store is dropped.
struct InFlightLimit {
    gauge: IntGauge,
    store: Weak<CassandraStore>,
}

/// Registers the metric.
pub(in crate::store) fn register(
    registry: &Registry,
    store: &Arc<CassandraStore>,
) -> prometheus::Result<()> {
    let (gauge, store) = (IntGauge::new(NAME, HELP)?, Arc::downgrade(store));
    registry.register(Box::new(InFlightLimit { gauge, store }))
}

impl Collector for InFlightLimit {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let store = self.store.upgrade();
        let limit = store.and_then(|store| Some(store.requests().ok()?.in_flight_limit()));
        self.gauge.set(limit.map_or(0, |limit| i64::try_from(limit).unwrap_or(i64::MAX)));
        self.gauge.collect()
    }
}
