//! Kafka's murmur2, with which its Java clients map a record's key to a partition.
//!
//! Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`.
//! Not taken from a crate, because the partition of a key must never change: one other bit would
//! scatter a user over two partitions.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;

/// Returns the partition of `key` among `partitions`, which is at least 1.
#[must_use]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    (hash(key) & 0x7fff_ffff) % partitions.max(1)
}

/// The same for the embedded log, which stores a partition in a byte.
#[must_use]
pub(super) fn partition_u8(key: &[u8], partitions: u8) -> u8 {
    // The remainder is below `partitions`, so its lowest byte is all of it.
    partition(key, partitions.into()).to_le_bytes()[0]
}

fn hash(key: &[u8]) -> u32 {
    // Kafka's keys are shorter than 2^31 bytes, and so are ours.
    let mut h = SEED ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * at);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn it_agrees_with_the_java_client() {
        for (key, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(hash(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }
}
