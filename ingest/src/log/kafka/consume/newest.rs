//! Reads the latest dead letters, the newest first, within limits of bytes and time: a consumer
//! waits for this before it writes the first letter of an assignment.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rdkafka::error::KafkaResult;

use super::{
    super::{
        KafkaLog,
        append::letters,
        offsets::Leaderless,
        record,
        thread::{DroppedAside, off_runtime},
    },
    reader::TopicSource,
};
use crate::log::{LogError, NewestLetters, Offsets, Partition};

/// How far before the ends of the partitions each pass begins. It ends where the one before began.
const DISTANCES: [i64; 5] = [1, 10, 100, 1_000, 10_000];
/// The limit on the bytes of all letters.
const BYTES: usize = 16 << 20;
/// The limit on the time.
const LIMIT: Duration = Duration::from_secs(5);

impl KafkaLog {
    /// Reads the last letters of each partition within the limits.
    pub(in crate::log) async fn newest_letters(&self) -> Result<NewestLetters, LogError> {
        let (source, found) = (self.letters_source(), Arc::<Mutex<NewestLetters>>::default());
        let adding = Arc::clone(&found);
        let reading = off_runtime("kafka-read", move || read_newest(source, &adding));
        let is_complete = match tokio::time::timeout(LIMIT, reading).await {
            Ok(outcome) => outcome?,
            Err(_) => false,
        };
        let mut newest = mem::take(&mut *found.lock());
        newest.is_partial = !is_complete;
        Ok(newest)
    }
}

/// Adds the latest letters to `newest`. Returns whether no limit was reached and every partition
/// could be read. Blocks, and ends soon after the caller has given up.
fn read_newest(source: TopicSource, newest: &Arc<Mutex<NewestLetters>>) -> KafkaResult<bool> {
    let consumer = source.client()?;
    let found = source.fetch(&consumer, Leaderless::Allow)?;
    let reader = source.reader(consumer, found.topic, Offsets::new(), Offsets::new())?;
    let mut reader = DroppedAside::new(reader);
    let (mut to, mut bytes) = (found.ends.clone(), 0);
    for distance in DISTANCES {
        let begin = |(partition, end): (&Partition, &i64)| {
            (*partition, found.lows.get(partition).map_or(0, |low| (end - distance).max(*low)))
        };
        let from: Offsets = found.ends.iter().map(begin).collect();
        let Some(reader) = reader.get_mut() else { return Ok(false) };
        reader.restart(from.clone(), to)?;
        // One by one, so that those read before a partition that does not reply count.
        while let Some(letter) = reader.read(1)?.first() {
            bytes += record::size(letter);
            if bytes > BYTES || Arc::strong_count(newest) == 1 {
                return Ok(false);
            }
            let origin = letters::origin(&letter.headers);
            origin.into_iter().for_each(|origin| newest.lock().add(origin));
        }
        to = from;
    }
    Ok(found.ends.len() == found.begins.len())
}
