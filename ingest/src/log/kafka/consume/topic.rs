//! Follows which topic has the name. A topic that is deleted and created again is another one.

use std::{collections::BTreeSet, mem};

use crate::log::{Partition, TopicId};

/// The topic that has the name, by the queries of the brokers.
pub(super) struct TopicWatch {
    present: Option<TopicId>,
    /// Another topic that one query has reported. Brokers learn of a change one by one, so a
    /// membership begins only when the next query agrees: its records must be of that topic.
    candidate: Option<TopicId>,
    /// The held partitions whose committed offsets were none of the topic's at the last query.
    astray: BTreeSet<Partition>,
}

impl TopicWatch {
    /// Begins with the topic that is known already.
    pub(super) fn new(present: Option<TopicId>) -> Self {
        Self { present, candidate: None, astray: BTreeSet::new() }
    }

    /// The topic that records are read from; `None` before the first query.
    pub(super) fn present(&self) -> Option<TopicId> {
        self.present
    }

    /// Records the result of a query. Returns the topic that `found` replaces.
    pub(super) fn see(&mut self, found: TopicId) -> Option<TopicId> {
        let is_settled = self.present.is_none() || self.candidate == Some(found);
        if self.present == Some(found) {
            self.candidate = None;
            return None;
        }
        if !is_settled {
            self.candidate = Some(found);
            return None;
        }
        self.candidate = None;
        self.present.replace(found)
    }

    /// Records the held partitions for which a query found committed offsets that are none of the
    /// topic's. Returns whether the query before found one of them, too: right after an assignment,
    /// the offsets are on their way.
    pub(super) fn see_astray(&mut self, astray: BTreeSet<Partition>) -> bool {
        let before = mem::replace(&mut self.astray, astray);
        !before.is_disjoint(&self.astray)
    }

    /// Forgets what was found for a membership that has ended.
    pub(super) fn forget_astray(&mut self) {
        self.astray.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_topic_counts_when_two_queries_agree() {
        let [one, two, three] = [1, 2, 3].map(TopicId::new);
        let mut watch = TopicWatch::new(None);
        assert_eq!((watch.see(one), watch.present()), (None, Some(one)));
        assert_eq!((watch.see(two), watch.present()), (None, Some(one)));
        // A broker that has not learned of it yet.
        assert_eq!((watch.see(one), watch.present()), (None, Some(one)));
        assert_eq!((watch.see(two), watch.present()), (None, Some(one)));
        assert_eq!((watch.see(three), watch.present()), (None, Some(one)));
        assert_eq!((watch.see(three), watch.present()), (Some(one), Some(three)));
    }

    #[test]
    fn offsets_are_astray_when_two_queries_agree_on_a_partition() {
        let mut watch = TopicWatch::new(None);
        assert!(!watch.see_astray([0].into()));
        assert!(!watch.see_astray([].into()));
        assert!(!watch.see_astray([0].into()));
        // Assigned in between, like 0 before the query before.
        assert!(!watch.see_astray([1, 2].into()));
        assert!(watch.see_astray([2, 3].into()));
        // The next membership begins with other offsets.
        watch.forget_astray();
        assert!(!watch.see_astray([2, 3].into()));
    }
}
