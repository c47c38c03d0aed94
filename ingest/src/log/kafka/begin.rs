//! Where a group begins in a partition: the rule about committed offsets, which the consumer, its
//! lag, `verify` and `redrive` share. Calls nothing of the driver.
//!
//! Brokers commit offsets by the name of the topic, but they belong to its id. So the id travels in
//! the metadata of each committed offset. An offset without an id was committed by an older program
//! or an operator, and is taken as it is. A consumer commits it at once with the id, because it
//! would otherwise also count for the next topic of the name.

use crate::log::TopicId;

/// What precedes the id in the metadata of a committed offset.
const TOPIC: &str = "bookend.topic_id=";
/// What precedes [`Committed::since`]. Older programs commit without it.
const SINCE: &str = "bookend.once_since=";

/// A committed offset and its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    /// The topic that it belongs to, if the metadata say so.
    pub(super) topic: Option<TopicId>,
    /// Of dead letters: the offset from which on redrives handled the letters of each record once.
    pub(super) since: Option<i64>,
}

/// The first offset to read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) offset: i64,
    pub(super) cause: Cause,
}

/// Why a group begins at an offset. All but the first two begin at the oldest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was committed.
    Committed,
    /// It was committed without the id of its topic, which is known.
    CommittedWithoutId,
    /// Nothing is committed: the group is new, or its offsets expired or were deleted.
    NothingCommitted,
    /// The committed offset belongs to a topic of this name that was deleted.
    OtherTopic,
    /// The committed offset is after the end: the brokers lost records.
    AfterEnd,
    /// Retention removed this many offsets after the committed one: an upper bound of the records.
    Removed(i64),
    /// No committed offset counts, and the oldest record is not known: the partition has no leader.
    Unknown,
}

impl Committed {
    /// The metadata of an offset of `topic`.
    pub(super) fn metadata(topic: TopicId) -> Option<String> {
        topic.known().map(|id| format!("{TOPIC}{id}"))
    }

    /// The metadata of an offset of dead letters in `topic`.
    pub(super) fn letters_metadata(topic: TopicId, since: i64) -> String {
        let id = Self::metadata(topic).map_or(String::new(), |id| format!("{id} "));
        format!("{id}{SINCE}{since}")
    }

    /// The committed `offset` with its metadata, which are words in any order. Another program may
    /// have written them.
    pub(super) fn parse(offset: i64, metadata: &str) -> Self {
        let value = |name| metadata.split(' ').filter_map(move |word| word.strip_prefix(name));
        let topic = value(TOPIC).find_map(|id| id.parse().ok());
        Self { offset, topic, since: value(SINCE).find_map(|since| since.parse().ok()) }
    }
}

impl Begin {
    /// Where to begin in a partition of `topic` with these ends.
    pub(super) fn new(topic: TopicId, committed: Option<Committed>, low: i64, end: i64) -> Self {
        let Some(Committed { offset, topic: of, .. }) = committed else {
            return Self { offset: low, cause: Cause::NothingCommitted };
        };
        let is_other = topic.known().is_some() && of.is_some_and(|of| of != topic);
        match offset {
            _ if is_other => Self { offset: low, cause: Cause::OtherTopic },
            _ if offset > end => Self { offset: low, cause: Cause::AfterEnd },
            _ if offset < low => Self { offset: low, cause: Cause::Removed(low - offset) },
            _ if topic.known().is_some() && of.is_none() => {
                Self { offset, cause: Cause::CommittedWithoutId }
            }
            offset => Self { offset, cause: Cause::Committed },
        }
    }

    /// Where to begin in a partition whose ends are not known. A committed offset is compared with
    /// them once they are.
    pub(super) fn without_ends(topic: TopicId, committed: Option<Committed>) -> Self {
        match Self::new(topic, committed, 0, i64::MAX) {
            begin if begin.cause.is_committed() => begin,
            Self { offset, .. } => Self { offset, cause: Cause::Unknown },
        }
    }

    /// The offset, unless the oldest record is not known.
    pub(super) fn known(self) -> Option<i64> {
        (self.cause != Cause::Unknown).then_some(self.offset)
    }
}

impl Cause {
    /// Whether the group begins at its committed offset.
    pub(super) fn is_committed(self) -> bool {
        matches!(self, Self::Committed | Self::CommittedWithoutId)
    }

    /// Whether the committed offset is none of the topic's.
    pub(super) fn is_astray(self) -> bool {
        matches!(self, Self::OtherTopic | Self::AfterEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicId = TopicId::new(7);

    fn begin(committed: Option<Committed>, low: i64, end: i64) -> (i64, Cause) {
        let Begin { offset, cause } = Begin::new(TOPIC, committed, low, end);
        (offset, cause)
    }

    fn at(offset: i64, topic: Option<TopicId>) -> Option<Committed> {
        Some(Committed { offset, topic, since: None })
    }

    #[test]
    fn a_committed_offset_counts_for_its_own_topic_only() {
        assert_eq!(begin(at(5, Some(TOPIC)), 2, 9), (5, Cause::Committed));
        assert_eq!(begin(at(5, None), 2, 9), (5, Cause::CommittedWithoutId));
        assert_eq!(begin(at(5, Some(TopicId::new(8))), 2, 9), (2, Cause::OtherTopic));
        assert_eq!(begin(None, 2, 9), (2, Cause::NothingCommitted));
        // Brokers without ids cannot tell, and have no id to commit.
        for topic in [None, Some(TOPIC)] {
            let begin = Begin::new(TopicId::UNKNOWN, at(5, topic), 2, 9);
            assert_eq!(begin, Begin { offset: 5, cause: Cause::Committed });
        }
    }

    #[test]
    fn an_offset_outside_the_topic_begins_at_the_oldest_record() {
        for (topic, committed) in
            [(None, Cause::CommittedWithoutId), (Some(TOPIC), Cause::Committed)]
        {
            assert_eq!(begin(at(9, topic), 2, 9), (9, committed));
            assert_eq!(begin(at(10, topic), 2, 9), (2, Cause::AfterEnd));
            assert_eq!(begin(at(2, topic), 2, 9), (2, committed));
            assert_eq!(begin(at(0, topic), 2, 9), (2, Cause::Removed(2)));
        }
    }

    #[test]
    fn without_ends_only_an_offset_of_the_topic_is_known() {
        let known = |committed| Begin::without_ends(TOPIC, committed).known();
        assert_eq!(known(at(5, Some(TOPIC))), Some(5));
        assert_eq!(known(at(5, None)), Some(5));
        assert_eq!(known(at(5, Some(TopicId::new(8)))), None);
        assert_eq!(known(None), None);
    }

    #[test]
    fn what_others_write_as_metadata_is_no_id() {
        let metadata = Committed::metadata(TOPIC).unwrap();
        assert_eq!(Some(Committed::parse(5, &metadata)), at(5, Some(TOPIC)));
        let more = format!("{metadata} and more");
        assert_eq!(Some(Committed::parse(5, &more)), at(5, Some(TOPIC)));
        for other in ["", "x", "bookend.topic_id=", "bookend.topic_id=short"] {
            assert_eq!(Some(Committed::parse(5, other)), at(5, None));
        }
        assert_eq!(Committed::metadata(TopicId::UNKNOWN), None);
    }

    #[test]
    fn since_when_redrives_handle_each_record_once_is_read_with_and_without_an_id() {
        for (topic, known) in [(TOPIC, Some(TOPIC)), (TopicId::UNKNOWN, None)] {
            let committed = Committed::parse(5, &Committed::letters_metadata(topic, 3));
            assert_eq!(committed, Committed { offset: 5, topic: known, since: Some(3) });
        }
        assert_eq!(Committed::parse(5, "bookend.once_since=x"), at(5, None).unwrap());
    }
}
