//! The last known positions of a topic's partitions: from the last query of the brokers, and from
//! appends, polls and commits since. They belong to one topic id. Reading them never waits.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::offsets::TopicOffsets;
use crate::log::{Offsets, Partition, Position, TopicId};

/// The position of every partition of one topic for one group.
#[derive(Default)]
pub(crate) struct Positions(Mutex<Known>);

/// The positions at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// `None` before the first query, and while the topic is missing.
    pub(super) topic: Option<TopicId>,
    pub(super) partitions: BTreeMap<Partition, Position>,
}

impl Positions {
    pub(crate) fn get(&self) -> BTreeMap<Partition, Position> {
        self.0.lock().partitions.clone()
    }

    pub(super) fn known(&self) -> Known {
        self.0.lock().clone()
    }

    /// Merges a query that began when the positions were `before`. Progress made since is kept. A
    /// topic that was created again starts over, and so does a partition that became shorter.
    pub(super) fn merge(&self, before: &Known, found: &TopicOffsets) {
        let mut positions = found.positions();
        // A partition without a leader stays where it was.
        let has_no_end = |partition: &Partition| {
            found.begins.contains_key(partition) && !found.ends.contains_key(partition)
        };
        positions.extend(before.partitions.iter().filter(|(partition, _)| has_no_end(partition)));
        self.merge_positions(before, found.topic, positions);
    }

    fn merge_positions(
        &self,
        Known { partitions: before, .. }: &Known,
        topic: TopicId,
        found: BTreeMap<Partition, Position>,
    ) {
        let state = &mut *self.0.lock();
        if state.topic != Some(topic) {
            *state = Known { topic: Some(topic), partitions: found };
            return;
        }
        state.partitions.retain(|partition, _| {
            found.contains_key(partition) || !before.contains_key(partition)
        });
        for (partition, found) in found {
            let position = state.partitions.entry(partition).or_insert(found);
            *position = match before.get(&partition) {
                Some(before) if found.end < before.end => found,
                // Nothing was committed meanwhile, so the committed offset was moved back or lost.
                Some(before) if position.committed == before.committed => {
                    Position { end: position.end.max(found.end), ..found }
                }
                _ => Position {
                    committed: position.committed.max(found.committed),
                    end: position.end.max(found.end),
                },
            };
        }
    }

    /// Forgets the positions: the topic does not exist.
    pub(super) fn clear(&self) {
        *self.0.lock() = Known::default();
    }

    /// Records that partitions of `topic` reach at least to these ends.
    pub(super) fn extend_to(&self, topic: TopicId, ends: &Offsets) {
        self.update(topic, ends, |position, end| position.end = position.end.max(end));
    }

    /// Records that these offsets of `topic` are committed.
    pub(super) fn committed(&self, topic: TopicId, offsets: &Offsets) {
        self.update(topic, offsets, |position, offset| {
            position.committed = position.committed.max(offset);
            position.end = position.end.max(offset);
        });
    }

    /// The same for a topic whose id the caller does not know.
    pub(super) fn extend_present_to(&self, ends: &Offsets) {
        let topic = self.0.lock().topic;
        self.extend_to(topic.unwrap_or_default(), ends);
    }

    fn update(&self, topic: TopicId, offsets: &Offsets, change: impl Fn(&mut Position, i64)) {
        let mut state = self.0.lock();
        // Offsets of a topic that was deleted say nothing about the present one.
        if state.topic != Some(topic) {
            return;
        }
        for (partition, offset) in offsets {
            let position =
                state.partitions.entry(*partition).or_insert(Position { committed: 0, end: 0 });
            change(position, *offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicId = TopicId::new(7);

    fn at(committed: i64, end: i64) -> BTreeMap<Partition, Position> {
        [(0, Position { committed, end })].into()
    }

    fn merge(positions: &Positions, before: &Known, found: BTreeMap<Partition, Position>) {
        positions.merge_positions(before, TOPIC, found);
    }

    fn known(committed: i64, end: i64) -> Positions {
        let positions = Positions::default();
        merge(&positions, &Known::default(), at(committed, end));
        positions
    }

    #[test]
    fn what_became_known_during_a_look_is_not_lost() {
        let positions = known(1, 5);
        let before = positions.known();
        positions.extend_to(TOPIC, &[(0, 9)].into());
        positions.committed(TOPIC, &[(0, 7)].into());
        merge(&positions, &before, at(1, 6));
        assert_eq!(positions.get(), at(7, 9));
    }

    #[test]
    fn a_partition_that_became_shorter_begins_anew() {
        let positions = known(4, 5);
        merge(&positions, &positions.known(), at(0, 2));
        assert_eq!(positions.get(), at(0, 2));
    }

    #[test]
    fn a_committed_offset_that_was_moved_back_counts() {
        let positions = known(4, 5);
        merge(&positions, &positions.known(), at(0, 6));
        assert_eq!(positions.get(), at(0, 6));
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let positions = known(4, 5);
        merge(&positions, &positions.known(), BTreeMap::new());
        assert_eq!(positions.get(), BTreeMap::new());
    }

    #[test]
    fn another_topic_of_the_name_starts_over() {
        let (positions, other) = (known(4, 5), TopicId::new(8));
        positions.merge_positions(&positions.known(), other, at(0, 9));
        assert_eq!(positions.get(), at(0, 9));
        // What was under way for the deleted topic changes nothing.
        positions.committed(TOPIC, &[(0, 4)].into());
        positions.extend_to(TOPIC, &[(0, 20)].into());
        assert_eq!(positions.get(), at(0, 9));
    }
}
