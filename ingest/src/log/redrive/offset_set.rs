//! A set of offsets that takes few bytes for each: a redrive keeps those of all dead letters.

use std::collections::BTreeMap;

/// The longest list, which takes as many bytes as the bits.
const LONGEST: usize = 4_096;

/// A set of offsets, in chunks of 65,536.
#[derive(Debug, Default)]
pub(super) struct OffsetSet(BTreeMap<i64, Chunk>);

/// The last 16 bits of the offsets of a chunk.
#[derive(Debug)]
enum Chunk {
    /// In order.
    List(Vec<u16>),
    /// A bit for every offset that a chunk can have.
    Bits(Box<[u64; 1_024]>),
}

impl OffsetSet {
    pub(super) fn contains(&self, offset: i64) -> bool {
        let (number, last) = split(offset);
        self.0.get(&number).is_some_and(|chunk| match chunk {
            Chunk::List(list) => list.binary_search(&last).is_ok(),
            Chunk::Bits(bits) => bits[word(last)] & bit(last) != 0,
        })
    }

    /// Adds an offset; returns whether it is new.
    pub(super) fn insert(&mut self, offset: i64) -> bool {
        let (number, last) = split(offset);
        let chunk = self.0.entry(number).or_insert(Chunk::List(Vec::new()));
        if let Chunk::List(list) = chunk {
            match list.binary_search(&last) {
                Ok(_) => return false,
                Err(at) if list.len() < LONGEST => {
                    list.insert(at, last);
                    return true;
                }
                Err(_) => {
                    let mut bits = Box::new([0; 1_024]);
                    list.iter().for_each(|last| bits[word(*last)] |= bit(*last));
                    *chunk = Chunk::Bits(bits);
                }
            }
        }
        let Chunk::Bits(bits) = chunk else { return true };
        let is_new = bits[word(last)] & bit(last) == 0;
        bits[word(last)] |= bit(last);
        is_new
    }
}

/// The number of the chunk of `offset`, and the last bits.
fn split(offset: i64) -> (i64, u16) {
    let [.., high, low] = offset.to_be_bytes();
    (offset >> 16, u16::from_be_bytes([high, low]))
}

fn word(last: u16) -> usize {
    usize::from(last / 64)
}

fn bit(last: u16) -> u64 {
    1 << (last % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The most bytes of an entry of the map, whose nodes are half full or fuller, with its list.
    const CHUNK_BYTES: usize = 100;

    fn bytes(set: &OffsetSet) -> usize {
        let of_chunk = |chunk: &Chunk| match chunk {
            Chunk::List(list) => list.capacity() * size_of::<u16>(),
            Chunk::Bits(bits) => size_of_val(&**bits),
        };
        set.0.values().map(|chunk| CHUNK_BYTES + of_chunk(chunk)).sum()
    }

    #[test]
    fn a_million_letters_take_at_most_six_bytes_each() {
        const LETTERS: i64 = 1_000_000;
        // One record of this many has a letter.
        for of in [1, 2, 10, 100, 1_000] {
            let mut set = OffsetSet::default();
            assert!((0..LETTERS).all(|number| set.insert(number * of)));
            assert!((0..LETTERS).all(|number| set.contains(number * of)));
            assert!(of == 1 || (0..LETTERS).all(|number| !set.contains(number * of + 1)));
            let bytes = bytes(&set);
            assert!(bytes <= 6 * LETTERS as usize, "one of {of}: {bytes}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn it_is_a_set(
            few in vec(-200_000..200_000_i64, 0..100),
            start in 60_000..70_000_i64,
            count in 0..8_000_i64,
        ) {
            let (mut found, mut set) = (OffsetSet::default(), BTreeSet::new());
            for offset in few.into_iter().chain(start..start + count) {
                prop_assert_eq!(found.insert(offset), set.insert(offset));
            }
            for offset in set.iter().flat_map(|offset| offset - 1..=offset + 1) {
                prop_assert_eq!(found.contains(offset), set.contains(&offset));
            }
        }
    }
}
