//! Which dead letters repeat: a redrive appends those of each record once, and the consumer counts
//! those that it writes again.
//!
//! A record may have several letters: a replay writes another one, and a letter that is kept is
//! written again after those not read yet. Calls no driver and reads no file.

use std::collections::{BTreeSet, HashMap};

use shared::timestamp::Timestamp;

use self::offset_set::OffsetSet;
use super::Partition;

mod offset_set;

/// The record of a dead letter: its log (an id, else the name of a topic), partition and offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(super) log: String,
    pub(super) partition: Partition,
    pub(super) offset: i64,
    /// The append time of a record whose log has no id. It tells the records of a topic from those
    /// of an earlier one with the same name.
    pub(super) append_time: Option<Timestamp>,
}

/// The records whose letters were seen. Decides whether a letter is another one of a record that
/// was handled.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// The records of letters that earlier redrives handled.
    earlier: Origins,
    /// The records of letters that this redrive has handled.
    handled: Origins,
}

/// The newest records that the latest dead letters are about, in each partition of each log.
#[derive(Debug, Default)]
pub(crate) struct NewestLetters {
    newest: HashMap<(String, Partition), i64>,
    /// Whether letters were left out: a limit was reached, or a partition had no leader.
    pub(crate) is_partial: bool,
}

/// A set of records, by log and partition.
#[derive(Debug, Default)]
struct Origins(HashMap<String, HashMap<Partition, Records>>);

/// A set of records of one partition.
#[derive(Debug, Default)]
struct Records {
    /// The records of a log with an id.
    offsets: OffsetSet,
    /// The others, which take about 40 bytes each.
    timed: BTreeSet<(i64, Timestamp)>,
}

impl Sieve {
    /// Adds the record of a letter that an earlier redrive handled.
    pub(super) fn add_earlier(&mut self, origin: &Origin) {
        self.earlier.insert(origin);
    }

    /// Adds the record of the next letter; returns whether the letter is to be handled. `was_kept`
    /// says that an earlier redrive kept this letter, so it still waits although its record was
    /// seen.
    pub(super) fn is_due(&mut self, origin: &Origin, was_kept: bool) -> bool {
        (was_kept || !self.earlier.contains(origin)) && self.handled.insert(origin)
    }
}

impl NewestLetters {
    pub(super) fn add(&mut self, Origin { log, partition, offset, .. }: Origin) {
        let newest = self.newest.entry((log, partition)).or_insert(offset);
        *newest = offset.max(*newest);
    }

    /// Whether a letter about the same record, or a later one of its partition, was among them. If
    /// so, the record has a letter already: they are written in the order of the records.
    pub(crate) fn has(&self, origin: Origin) -> bool {
        let newest = self.newest.get(&(origin.log, origin.partition));
        newest.is_some_and(|newest| origin.offset <= *newest)
    }
}

impl Origins {
    fn contains(&self, origin: &Origin) -> bool {
        let of_log = self.0.get(&origin.log);
        of_log.and_then(|of_log| of_log.get(&origin.partition)).is_some_and(|records| match origin
            .append_time
        {
            None => records.offsets.contains(origin.offset),
            Some(time) => records.timed.contains(&(origin.offset, time)),
        })
    }

    /// Adds a record; returns whether it is new.
    fn insert(&mut self, origin: &Origin) -> bool {
        if !self.0.contains_key(&origin.log) {
            self.0.insert(origin.log.clone(), HashMap::new());
        }
        let Some(of_log) = self.0.get_mut(&origin.log) else { return true };
        let records = of_log.entry(origin.partition).or_default();
        match origin.append_time {
            None => records.offsets.insert(origin.offset),
            Some(time) => records.timed.insert((origin.offset, time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(offset: i64) -> Origin {
        Origin { log: "a".to_owned(), partition: 0, offset, append_time: None }
    }

    #[test]
    fn a_record_is_due_once_unless_its_letter_was_kept() {
        let mut sieve = Sieve::default();
        sieve.add_earlier(&origin(1));
        assert!(!sieve.is_due(&origin(1), false));
        assert!(sieve.is_due(&origin(1), true));
        assert!(!sieve.is_due(&origin(1), true));
        assert!(sieve.is_due(&origin(2), false));
        assert!(!sieve.is_due(&origin(2), false));
        let other = Origin { log: "b".to_owned(), ..origin(2) };
        assert!(sieve.is_due(&other, false));
        assert!(sieve.is_due(&Origin { partition: 1, ..other }, false));
    }

    #[test]
    fn letters_up_to_the_newest_one_of_their_partition_are_repeated() {
        let mut newest = NewestLetters::default();
        [5, 3].map(origin).into_iter().for_each(|origin| newest.add(origin));
        assert_eq!(
            [3, 4, 5, 6].map(|offset| newest.has(origin(offset))),
            [true, true, true, false]
        );
        assert!(!newest.has(Origin { log: "b".to_owned(), ..origin(3) }));
        assert!(!newest.has(Origin { partition: 1, ..origin(3) }));
    }

    #[test]
    fn records_of_logs_without_an_id_are_told_by_their_append_times() {
        let at = |time| Origin { append_time: Timestamp::from_millis(time), ..origin(1) };
        let mut sieve = Sieve::default();
        sieve.add_earlier(&at(10));
        assert_eq!([10, 20, 20].map(|time| sieve.is_due(&at(time), false)), [false, true, false]);
        assert!(sieve.is_due(&origin(1), false));
        // For the counter of repetitions the offset is enough.
        let mut newest = NewestLetters::default();
        newest.add(at(10));
        assert!(newest.has(at(20)));
    }
}
