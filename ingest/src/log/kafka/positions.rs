//! The last known positions of a topic's partitions: from the last query of the brokers, and from
//! appends, polls and commits since. Reading them never waits.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::log::{Offsets, Partition, Position};

/// The position of every partition of one topic for one group.
#[derive(Default)]
pub(crate) struct Positions(Mutex<BTreeMap<Partition, Position>>);

impl Positions {
    pub(crate) fn get(&self) -> BTreeMap<Partition, Position> {
        self.0.lock().clone()
    }

    /// Merges a query that began when the positions were `before`. Progress made since is kept. A
    /// partition that became shorter starts over: its topic was deleted and created again.
    pub(super) fn merge(
        &self,
        before: &BTreeMap<Partition, Position>,
        found: &BTreeMap<Partition, Position>,
    ) {
        let mut positions = self.0.lock();
        for (partition, found) in found {
            let position = positions.entry(*partition).or_insert(*found);
            *position = match before.get(partition) {
                Some(before) if found.end < before.end => *found,
                _ => Position {
                    committed: position.committed.max(found.committed),
                    end: position.end.max(found.end),
                },
            };
        }
        positions.retain(|partition, _| {
            found.contains_key(partition) || !before.contains_key(partition)
        });
    }

    /// Records that partitions reach at least to these ends.
    pub(super) fn extend_to(&self, ends: &Offsets) {
        let mut positions = self.0.lock();
        for (partition, end) in ends {
            let position = positions.entry(*partition).or_insert(Position { committed: 0, end: 0 });
            position.end = position.end.max(*end);
        }
    }

    pub(super) fn committed(&self, offsets: &Offsets) {
        let mut positions = self.0.lock();
        for (partition, offset) in offsets {
            let position = positions.entry(*partition).or_insert(Position { committed: 0, end: 0 });
            position.committed = position.committed.max(*offset);
            position.end = position.end.max(*offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(committed: i64, end: i64) -> BTreeMap<Partition, Position> {
        [(0, Position { committed, end })].into()
    }

    #[test]
    fn what_became_known_during_a_look_is_not_lost() {
        let positions = Positions::default();
        positions.merge(&BTreeMap::new(), &at(1, 5));
        let before = positions.get();
        positions.extend_to(&[(0, 9)].into());
        positions.committed(&[(0, 7)].into());
        positions.merge(&before, &at(1, 6));
        assert_eq!(positions.get(), at(7, 9));
    }

    #[test]
    fn a_partition_that_became_shorter_begins_anew() {
        let positions = Positions::default();
        positions.merge(&BTreeMap::new(), &at(4, 5));
        positions.merge(&positions.get(), &at(0, 2));
        assert_eq!(positions.get(), at(0, 2));
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let positions = Positions::default();
        positions.merge(&BTreeMap::new(), &at(4, 5));
        positions.merge(&positions.get(), &BTreeMap::new());
        assert_eq!(positions.get(), BTreeMap::new());
    }
}
