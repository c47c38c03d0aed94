//! Which rows go into one request: those of one partition, or of a few partitions that lie on the same nodes.
//!
//! A request is what costs, not a row. Cassandra warns of batches over more than ten partitions or 5 KiB, of one partition's
//! it does not.

use std::sync::Arc;

use scylla::{client::session::Session, cluster::ClusterState, serialize::row::SerializeRow};

/// The most partitions in one request.
pub(super) const PARTITIONS: usize = 10;
/// The most rows in a request over one partition, and the most sessions of one user that are handled together.
pub(super) const ROWS: usize = 50;
/// The most bytes in a request over several partitions.
const BYTES: usize = 5 << 10;

/// What belongs to one partition.
#[derive(Debug)]
pub(super) struct Parcel<T> {
    /// Stands for the set of nodes on which it lies.
    pub(super) replicas: u128,
    pub(super) bytes: usize,
    pub(super) contents: T,
}

/// Where partitions lie.
pub(super) struct Placement<'a> {
    cluster: Arc<ClusterState>,
    keyspace: &'a str,
}

impl<'a> Placement<'a> {
    pub(super) fn new(session: &Session, keyspace: &'a str) -> Self {
        Self { cluster: session.get_cluster_state(), keyspace }
    }

    /// Stands for the set of nodes on which the partition lies. What is not known is one set of its own: grouping is a
    /// matter of speed alone.
    pub(super) fn replicas(&self, table: &str, partition_key: &dyn SerializeRow) -> u128 {
        if self.cluster.get_nodes_info().len() == 1 {
            return 0;
        }
        let nodes =
            self.cluster.get_endpoints(self.keyspace, table, partition_key).unwrap_or_default();
        // Ids are random numbers: the sum of some of them, in whatever order, is nobody else's.
        nodes.iter().fold(0, |sum, (node, _)| node.host_id.as_u128().wrapping_add(sum))
    }
}

/// Puts parcels together that may share a request.
pub(super) fn pack<T>(mut parcels: Vec<Parcel<T>>) -> Vec<Vec<T>> {
    parcels.sort_by_key(|parcel| parcel.replicas);
    let mut packed: Vec<Vec<T>> = Vec::new();
    let (mut replicas, mut bytes) = (None, 0);
    for parcel in parcels {
        bytes += parcel.bytes;
        match packed.last_mut() {
            Some(last)
                if replicas == Some(parcel.replicas)
                    && last.len() < PARTITIONS
                    && bytes <= BYTES =>
            {
                last.push(parcel.contents);
            }
            _ => {
                (replicas, bytes) = (Some(parcel.replicas), parcel.bytes);
                packed.push(vec![parcel.contents]);
            }
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(parcels: &[(u128, usize)]) -> Vec<Vec<usize>> {
        let parcel = |(contents, (replicas, bytes)): (usize, &(u128, usize))| Parcel {
            replicas: *replicas,
            bytes: *bytes,
            contents,
        };
        pack(parcels.iter().enumerate().map(parcel).collect())
    }

    #[test]
    fn what_lies_on_other_nodes_goes_into_another_request() {
        assert_eq!(packed(&[(1, 9), (2, 9), (1, 9)]), [vec![0, 2], vec![1]]);
        assert_eq!(packed(&[]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_request_holds_ten_partitions() {
        let sizes: Vec<_> = packed(&[(1, 1); 21]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 10, 1]);
    }

    #[test]
    fn a_request_over_several_partitions_stays_small_and_one_over_a_single_one_need_not() {
        assert_eq!(
            packed(&[(1, 5_000), (1, 120), (1, 1), (1, 9_000), (1, 1)]),
            [vec![0, 1], vec![2], vec![3], vec![4]]
        );
    }
}
