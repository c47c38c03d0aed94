//! Where a redrive begins: after the dead letters that earlier redrives handled. It reads those of
//! redrives like this one too, because a replay may have written further letters of their records.

use rdkafka::error::KafkaResult;

use super::{
    super::{
        begin::Committed,
        offsets::{Leaderless, TopicOffsets},
    },
    reader::{Reader, TopicSource},
};
use crate::log::{Offsets, Partition, Record, TopicId};

/// The dead letters that earlier redrives handled.
pub(crate) struct Handled {
    topic: TopicId,
    committed: Offsets,
    since: Offsets,
}

impl Handled {
    /// Whether an earlier redrive handled `letter`.
    pub(crate) fn has(&self, letter: &Record) -> bool {
        self.committed.get(&letter.partition).is_some_and(|committed| letter.offset < *committed)
    }

    /// The offsets to commit after letters were read up to `position`. A partition that is read
    /// again, and not yet to its committed offset, stays there.
    pub(crate) fn and_read_to(&self, mut position: Offsets) -> Offsets {
        for (partition, committed) in &self.committed {
            let at = position.entry(*partition).or_insert(*committed);
            *at = (*at).max(*committed);
        }
        position
    }

    /// What is committed beside the offset of each partition.
    pub(crate) fn metadata(&self) -> Vec<(Partition, String)> {
        let text = |(partition, since): (&Partition, &i64)| {
            (*partition, Committed::letters_metadata(self.topic, *since))
        };
        self.since.iter().map(text).collect()
    }

    fn new(found: &TopicOffsets) -> Self {
        let mut handled =
            Self { topic: found.topic, committed: Offsets::new(), since: Offsets::new() };
        for (partition, begin) in &found.begins {
            let committed = found.committed.get(partition).filter(|_| begin.cause.is_committed());
            let since = committed.and_then(|committed| committed.since).unwrap_or(begin.offset);
            handled.since.insert(*partition, since.min(begin.offset));
            handled.committed.insert(*partition, begin.offset);
        }
        handled
    }
}

impl TopicSource {
    /// A reader from the letters that redrives like this one handled to the present ends. Blocks.
    pub(crate) fn read_from_handled(self) -> KafkaResult<(Reader, Handled)> {
        let consumer = self.client()?;
        let found = self.fetch(&consumer, Leaderless::Fail)?;
        let handled = Handled::new(&found);
        let begin = |(partition, since): (&Partition, &i64)| {
            (*partition, found.lows.get(partition).map_or(*since, |low| (*low).max(*since)))
        };
        let from = handled.since.iter().map(begin).collect();
        Ok((self.reader(consumer, found.topic, from, found.ends)?, handled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_partition_that_is_read_again_does_not_go_back() {
        let committed = [(0, 5), (1, 9), (2, 4)].into();
        let handled = Handled { topic: TopicId::UNKNOWN, committed, since: Offsets::new() };
        let read = handled.and_read_to([(0, 7), (1, 3)].into());
        assert_eq!(read, [(0, 7), (1, 9), (2, 4)].into());
    }
}
