//! Where the partitions of a topic stand, as was looked up last and as we know better since. For whoever asks without waiting.

use std::{collections::BTreeMap, sync::Mutex};

use super::thread::lock;
use crate::log::{Offsets, Partition, Position};

/// Where every partition of one topic stands for one group.
#[derive(Default)]
pub(super) struct Positions(Mutex<BTreeMap<Partition, Position>>);

impl Positions {
    pub(super) fn get(&self) -> BTreeMap<Partition, Position> {
        lock(&self.0).clone()
    }

    /// What a look found that began when these stood at `before`. What has become known since is not older than what was
    /// found; unless a partition has become shorter: then its topic is another one of the same name.
    pub(super) fn found(
        &self,
        before: &BTreeMap<Partition, Position>,
        found: &BTreeMap<Partition, Position>,
    ) {
        let mut positions = lock(&self.0);
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

    /// These partitions are at least so long.
    pub(super) fn reach(&self, ends: &Offsets) {
        let mut positions = lock(&self.0);
        for (partition, end) in ends {
            let position = positions.entry(*partition).or_insert(Position { committed: 0, end: 0 });
            position.end = position.end.max(*end);
        }
    }

    /// This is committed.
    pub(super) fn committed(&self, offsets: &Offsets) {
        let mut positions = lock(&self.0);
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
        positions.found(&BTreeMap::new(), &at(1, 5));
        let before = positions.get();
        positions.reach(&[(0, 9)].into());
        positions.committed(&[(0, 7)].into());
        positions.found(&before, &at(1, 6));
        assert_eq!(positions.get(), at(7, 9));
    }

    #[test]
    fn a_partition_that_became_shorter_begins_anew() {
        let positions = Positions::default();
        positions.found(&BTreeMap::new(), &at(4, 5));
        positions.found(&positions.get(), &at(0, 2));
        assert_eq!(positions.get(), at(0, 2));
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let positions = Positions::default();
        positions.found(&BTreeMap::new(), &at(4, 5));
        positions.found(&positions.get(), &BTreeMap::new());
        assert_eq!(positions.get(), BTreeMap::new());
    }
}
