//! Groups rows into requests: those of one partition, or of a few partitions on the same replicas.
//!
//! The cost is per request, not per row. Cassandra warns about a batch over more than ten
//! partitions or of more than 5 KiB, but not about a batch over one partition.

use std::sync::Arc;

use scylla::{client::session::Session, cluster::ClusterState, serialize::row::SerializeRow};

/// Maximum number of partitions in a request.
pub(super) const PARTITIONS: usize = 10;
/// Maximum number of rows in a request over one partition, and of sessions of one user in a unit.
pub(super) const ROWS: usize = 50;
/// Maximum size of a request over several partitions, in bytes.
const BYTES: usize = 5 << 10;

/// Overhead of a row and of a cell in Cassandra 5.0, in bytes: write time and expiry time.
pub(super) const ROW: usize = 40;
pub(super) const CELL: usize = 24;
/// Size of the row of a fact, in bytes, without its session and country.
pub(super) const FACT: usize = ROW + CELL + 18;

/// Maximum number of sessions in a unit over several users, with ids of one byte.
pub(super) const SESSIONS: usize = BYTES / (FACT + 1);

/// Rows of one partition.
#[derive(Debug)]
pub(super) struct PartitionRows<T> {
    /// Identifies the set of replicas of the partition.
    pub(super) replicas: u128,
    pub(super) bytes: usize,
    pub(super) rows: T,
}

/// The replicas of partitions.
pub(super) struct Placement<'a> {
    cluster: Arc<ClusterState>,
    keyspace: &'a str,
}

impl<'a> Placement<'a> {
    pub(super) fn new(session: &Session, keyspace: &'a str) -> Self {
        Self { cluster: session.get_cluster_state(), keyspace }
    }

    /// Identifies the set of replicas of a partition. All partitions with unknown replicas count as
    /// one set: grouping only affects speed.
    pub(super) fn replicas(&self, table: &str, partition_key: &dyn SerializeRow) -> u128 {
        if self.cluster.get_nodes_info().len() == 1 {
            return 0;
        }
        let nodes =
            self.cluster.get_endpoints(self.keyspace, table, partition_key).unwrap_or_default();
        // Host ids are random numbers, so the sum identifies the set, independent of the order.
        nodes.iter().fold(0, |sum, (node, _)| node.host_id.as_u128().wrapping_add(sum))
    }
}

/// Groups partitions that can share a request.
pub(super) fn group<T>(mut partitions: Vec<PartitionRows<T>>) -> Vec<Vec<T>> {
    partitions.sort_by_key(|partition| partition.replicas);
    let mut groups: Vec<Vec<T>> = Vec::new();
    let (mut replicas, mut bytes) = (None, 0);
    for partition in partitions {
        bytes += partition.bytes;
        match groups.last_mut() {
            Some(last)
                if replicas == Some(partition.replicas)
                    && last.len() < PARTITIONS
                    && bytes <= BYTES =>
            {
                last.push(partition.rows);
            }
            _ => {
                (replicas, bytes) = (Some(partition.replicas), partition.bytes);
                groups.push(vec![partition.rows]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(partitions: &[(u128, usize)]) -> Vec<Vec<usize>> {
        let partition = |(rows, (replicas, bytes)): (usize, &(u128, usize))| PartitionRows {
            replicas: *replicas,
            bytes: *bytes,
            rows,
        };
        group(partitions.iter().enumerate().map(partition).collect())
    }

    #[test]
    fn what_lies_on_other_nodes_goes_into_another_request() {
        assert_eq!(grouped(&[(1, 9), (2, 9), (1, 9)]), [vec![0, 2], vec![1]]);
        assert_eq!(grouped(&[]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_request_holds_ten_partitions() {
        let sizes: Vec<_> = grouped(&[(1, 1); 21]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 10, 1]);
    }

    #[test]
    fn a_request_over_several_partitions_stays_small_and_one_over_a_single_one_need_not() {
        assert_eq!(
            grouped(&[(1, 5_000), (1, 120), (1, 1), (1, 9_000), (1, 1)]),
            [vec![0, 1], vec![2], vec![3], vec![4]]
        );
    }
}
