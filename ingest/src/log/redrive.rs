//! Which dead letters repeat: a redrive appends those of each record once, and the consumer counts
//! those that it writes again.
//!
//! A record may have several letters: a replay writes another one, and a letter that is kept is
//! written again after those not read yet. Calls no driver and reads no file.

use std::collections::{BTreeMap, HashMap};

use super::Partition;

/// The record of a dead letter: its log (a topic id, else a topic's name), partition and offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(super) log: String,
    pub(super) partition: Partition,
    pub(super) offset: i64,
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
pub(crate) struct NewestLetters(HashMap<(String, Partition), i64>);

/// A set of records.
#[derive(Debug, Default)]
struct Origins(HashMap<String, HashMap<Partition, Ranges>>);

/// A set of offsets as ranges: the start of each, and the offset after it.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<i64, i64>);

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
    pub(super) fn add(&mut self, Origin { log, partition, offset }: Origin) {
        let newest = self.0.entry((log, partition)).or_insert(offset);
        *newest = offset.max(*newest);
    }

    /// Whether a letter about the same record, or a later one of its partition, was among them. If
    /// so, the record has a letter already: they are written in the order of the records.
    pub(crate) fn has(&self, origin: Origin) -> bool {
        let newest = self.0.get(&(origin.log, origin.partition));
        newest.is_some_and(|newest| origin.offset <= *newest)
    }
}

impl Origins {
    fn contains(&self, Origin { log, partition, offset }: &Origin) -> bool {
        let ranges = self.0.get(log).and_then(|of_log| of_log.get(partition));
        ranges.is_some_and(|ranges| ranges.contains(*offset))
    }

    fn insert(&mut self, Origin { log, partition, offset }: &Origin) -> bool {
        if !self.0.contains_key(log) {
            self.0.insert(log.clone(), HashMap::new());
        }
        let Some(of_log) = self.0.get_mut(log) else { return true };
        of_log.entry(*partition).or_default().insert(*offset)
    }
}

impl Ranges {
    fn contains(&self, offset: i64) -> bool {
        self.0.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    /// Adds an offset; returns whether it is new.
    fn insert(&mut self, offset: i64) -> bool {
        if self.contains(offset) {
            return false;
        }
        let end = self.0.remove(&(offset + 1)).unwrap_or(offset + 1);
        match self.0.range_mut(..offset).next_back() {
            Some((_, before)) if *before == offset => *before = end,
            _ => {
                self.0.insert(offset, end);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn origin(offset: i64) -> Origin {
        Origin { log: "a".to_owned(), partition: 0, offset }
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

    proptest! {
        #[test]
        fn ranges_are_a_set(offsets in vec(-20..20_i64, 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for offset in offsets {
                prop_assert_eq!(ranges.insert(offset), set.insert(offset));
                for offset in -21..=20 {
                    prop_assert_eq!(ranges.contains(offset), set.contains(&offset));
                }
                // Adjacent offsets share a range.
                let starts = set.iter().filter(|offset| !set.contains(&(*offset - 1))).count();
                prop_assert_eq!(ranges.0.len(), starts);
            }
        }
    }
}
