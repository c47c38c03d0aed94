//! Follows which topic has the name. A topic that is deleted and created again is another one.

use crate::log::TopicId;

/// The topic that has the name, by the queries of the brokers.
pub(super) struct TopicWatch {
    present: Option<TopicId>,
    /// Another topic that one query has reported. Brokers learn of a change one by one, so a
    /// membership begins only when the next query agrees: its records must be of that topic.
    candidate: Option<TopicId>,
    /// Whether the last query found committed offsets that are none of the topic's.
    astray: bool,
}

impl TopicWatch {
    /// Begins with the topic that is known already.
    pub(super) fn new(present: Option<TopicId>) -> Self {
        Self { present, candidate: None, astray: false }
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

    /// Records whether a query found committed offsets of held partitions that are none of the
    /// topic's. Returns whether the query before did so, too: right after an assignment, the
    /// offsets are on their way.
    pub(super) fn see_astray(&mut self, astray: bool) -> bool {
        std::mem::replace(&mut self.astray, astray) && astray
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
    fn offsets_are_astray_when_two_queries_agree() {
        let mut watch = TopicWatch::new(None);
        assert!(!watch.see_astray(true));
        assert!(!watch.see_astray(false));
        assert!(!watch.see_astray(true));
        assert!(watch.see_astray(true));
    }
}
