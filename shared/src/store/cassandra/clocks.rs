//! The clocks of the nodes: measured when a process starts, and every minute.
//!
//! Rows expire by them, and processes whose clocks agree with them agree with each other about the
//! order of writes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use scylla::{
    cluster::Node,
    policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy},
    statement::{Consistency, unprepared::Statement},
    value::CqlTimestamp,
};

use super::{CassandraStore, driver::Requests};
use crate::{
    clock::Clock,
    skew::{Interval, Skew},
    timestamp::Timestamp,
};

const NOW: &str = "SELECT toTimestamp(now()) FROM system.local";
const INTERVAL: Duration = Duration::from_secs(60);
/// The pause while the store is not open yet.
const UNTIL_OPEN: Duration = Duration::from_secs(1);
/// How long a node may take to reply. A slow reply would show little about its clock.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Starts to measure the clocks, until the store is dropped.
pub(in crate::store) fn start(store: &Arc<CassandraStore>, skew: Arc<Skew<String>>) {
    tokio::spawn(watch(Arc::downgrade(store), skew));
}

async fn watch(store: Weak<CassandraStore>, skew: Arc<Skew<String>>) {
    loop {
        let Some(store) = store.upgrade() else { return };
        let pause = match store.requests() {
            Ok(requests) => {
                measure(requests, &skew).await;
                INTERVAL
            }
            Err(_) => UNTIL_OPEN,
        };
        drop(store);
        tokio::time::sleep(pause).await;
    }
}

async fn measure(requests: &Requests, skew: &Skew<String>) {
    let nodes = requests.session.get_cluster_state().get_nodes_info().to_vec();
    for node in nodes.iter().filter(|node| node.is_connected()) {
        let sent = Clock::machine().now();
        let Some(shown) = now(requests, node).await else { continue };
        if let Some(interval) = Interval::of(shown, sent, Clock::machine().now()) {
            skew.measured(node.address.to_string(), interval);
        }
    }
}

/// The time of day on `node`; `None` if it does not reply, which other requests report.
async fn now(requests: &Requests, node: &Arc<Node>) -> Option<Timestamp> {
    let mut statement = Statement::new(NOW);
    let this_one = NodeIdentifier::Node(Arc::clone(node));
    let policy = SingleTargetLoadBalancingPolicy::new(this_one, None);
    statement.set_load_balancing_policy(Some(policy));
    statement.set_consistency(Consistency::One);
    statement.set_request_timeout(Some(TIMEOUT));
    let reply =
        requests.session.query_unpaged(statement, &()).await.ok()?.into_rows_result().ok()?;
    let (CqlTimestamp(millis),) = reply.single_row().ok()?;
    Timestamp::from_millis(millis)
}
