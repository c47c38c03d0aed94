//! Where a redrive begins: after the dead letters that earlier redrives handled. It reads those of
//! redrives like this one too, because a replay may have written further letters of their records.

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};

use super::{
    super::{
        context::Context,
        offsets::{REQUEST_TIMEOUT, fetch_lows, fetch_offsets, partition_list},
    },
    reader::{Reader, TopicSource},
};
use crate::log::{Offsets, Partition, Record};

/// What precedes, in the metadata of a committed offset, the offset from which on redrives handled
/// the letters of each record once. Older programs commit without it.
const SINCE: &str = "bookend.once_since=";

/// The dead letters that earlier redrives handled.
pub(crate) struct Handled {
    committed: Offsets,
    since: Offsets,
}

impl Handled {
    /// Whether an earlier redrive handled `letter`.
    pub(crate) fn has(&self, letter: &Record) -> bool {
        self.committed.get(&letter.partition).is_some_and(|committed| letter.offset < *committed)
    }

    /// What is committed beside the offset of each partition.
    pub(crate) fn metadata(&self) -> Vec<(Partition, String)> {
        let text = |(partition, since): (&Partition, &i64)| (*partition, format!("{SINCE}{since}"));
        self.since.iter().map(text).collect()
    }

    fn fetch(consumer: &BaseConsumer<Context>, topic: &str) -> KafkaResult<(Self, Offsets)> {
        let positions = fetch_offsets(consumer, topic)?.positions;
        let all = positions.keys().map(|partition| (*partition, Offset::Invalid));
        let raw = consumer.committed_offsets(partition_list(topic, all)?, REQUEST_TIMEOUT)?;
        let mut handled = Self { committed: Offsets::new(), since: Offsets::new() };
        let mut ends = Offsets::new();
        for (partition, at) in positions {
            let since = raw
                .find_partition(topic, partition)
                .filter(|raw| raw.offset() == Offset::Offset(at.committed))
                .and_then(|raw| raw.metadata().strip_prefix(SINCE)?.parse().ok());
            handled.since.insert(partition, since.unwrap_or(at.committed).min(at.committed));
            handled.committed.insert(partition, at.committed);
            ends.insert(partition, at.end);
        }
        Ok((handled, ends))
    }
}

impl TopicSource {
    /// A reader from the letters that redrives like this one handled to the present ends. Blocks.
    pub(crate) fn read_from_handled(self) -> KafkaResult<(Reader, Handled)> {
        let consumer = self.client()?;
        let (handled, ends) = Handled::fetch(&consumer, &self.topic)?;
        let lows = fetch_lows(&consumer, &self.topic)?;
        let begin = |(partition, since): (&Partition, &i64)| {
            (*partition, lows.get(partition).map_or(*since, |low| (*low).max(*since)))
        };
        let from = handled.since.iter().map(begin).collect();
        Ok((self.reader(consumer, from, ends)?, handled))
    }
}
