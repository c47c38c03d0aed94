//! How records are spelled on disk: a segment's header, and the blocks behind it.
//!
//! A block is what became durable together: a frame (magic, length, checksum), the offset of its first record in every
//! partition, and the records. A block whose checksum does not hold was never acknowledged, if nothing stands behind it.

use bytes::{Buf, BufMut, Bytes};
use shared::timestamp::Timestamp;

use crate::log::Partition;

/// The most partitions a journal can have.
pub(super) const MAX_PARTITIONS: u32 = 64;
/// The bytes before a block's payload.
pub(super) const FRAME: usize = 12;
/// The largest payload that is read: a longer one is damage. Well above what one group commit writes.
pub(super) const MAX_PAYLOAD: usize = 64 << 20;

/// The longest record that is taken, in bytes as [`entry_len`] counts them: a block holds that and a group beside it.
pub(super) const MAX_ENTRY: usize = 32 << 20;

const SEGMENT_MAGIC: u64 = u64::from_be_bytes(*b"bookend1");
const BLOCK_MAGIC: u32 = u32::from_be_bytes(*b"blk1");

/// A record as a journal stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) partition: Partition,
    pub(super) append_time: Timestamp,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

/// What a segment's first bytes say: when it was made, and the offset of the first record behind it in every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) created: Timestamp,
    pub(super) bases: Vec<i64>,
}

/// The records of one block, and the offsets before and behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) bases: Vec<i64>,
    pub(super) ends: Vec<i64>,
    pub(super) records: Vec<(i64, Entry)>,
}

/// The length in bytes of a segment's header.
pub(super) fn header_len(partitions: usize) -> usize {
    8 + 8 + 4 + 8 * partitions + 4
}

pub(super) fn write_header(header: &SegmentHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(header.bases.len()));
    out.put_u64(SEGMENT_MAGIC);
    out.put_i64(header.created.millis());
    out.put_u32(u32::try_from(header.bases.len()).unwrap_or(u32::MAX));
    header.bases.iter().for_each(|base| out.put_i64(*base));
    out.put_u32(crc32fast::hash(&out));
    out
}

/// The header in the first bytes of a segment, and where the blocks begin; `None` when it is torn.
pub(super) fn read_header(start: &[u8]) -> Option<(SegmentHeader, usize)> {
    let mut rest = start;
    if rest.try_get_u64().ok()? != SEGMENT_MAGIC {
        return None;
    }
    let created = Timestamp::from_millis(rest.try_get_i64().ok()?)?;
    let partitions = rest.try_get_u32().ok().filter(|count| *count <= MAX_PARTITIONS)?;
    let bases = (0..partitions).map(|_| rest.try_get_i64().ok()).collect::<Option<Vec<_>>>()?;
    let len = header_len(bases.len());
    let crc = rest.try_get_u32().ok()?;
    (crc == crc32fast::hash(start.get(..len - 4)?))
        .then_some((SegmentHeader { created, bases }, len))
}

/// Writes a block of `entries` whose first records have the offsets `bases`.
pub(super) fn write_block<'a>(
    bases: &[i64],
    entries: impl Iterator<Item = &'a Entry>,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.put_bytes(0, FRAME);
    out.put_u8(u8::try_from(bases.len()).unwrap_or(u8::MAX));
    bases.iter().for_each(|base| out.put_i64(*base));
    for entry in entries {
        out.put_u8(u8::try_from(entry.partition).unwrap_or(u8::MAX));
        out.put_i64(entry.append_time.millis());
        out.put_u32(u32::try_from(entry.key.len()).unwrap_or(u32::MAX));
        out.put_u32(u32::try_from(entry.value.len()).unwrap_or(u32::MAX));
        out.put_slice(&entry.key);
        out.put_slice(&entry.value);
    }
    let crc = crc32fast::hash(&out[FRAME..]);
    let len = u32::try_from(out.len() - FRAME).unwrap_or(u32::MAX);
    let mut frame = &mut out[..FRAME];
    frame.put_u32(BLOCK_MAGIC);
    frame.put_u32(len);
    frame.put_u32(crc);
}

/// The payload's length and checksum in a frame; `None` when these bytes are no frame.
pub(super) fn read_frame(mut frame: &[u8]) -> Option<(usize, u32)> {
    if frame.try_get_u32().ok()? != BLOCK_MAGIC {
        return None;
    }
    let len = usize::try_from(frame.try_get_u32().ok()?).ok().filter(|len| *len <= MAX_PAYLOAD)?;
    Some((len, frame.try_get_u32().ok()?))
}

/// The length in bytes of a record in a block.
pub(super) fn entry_len(entry: &Entry) -> usize {
    1 + 8 + 4 + 4 + entry.key.len() + entry.value.len()
}

/// The records in a payload whose checksum was `crc`; `None` when it does not hold.
pub(super) fn read_payload(mut payload: Bytes, crc: u32) -> Option<Block> {
    if crc32fast::hash(&payload) != crc {
        return None;
    }
    let partitions = payload.try_get_u8().ok()?;
    let bases = (0..partitions).map(|_| payload.try_get_i64().ok()).collect::<Option<Vec<_>>>()?;
    let mut ends = bases.clone();
    let mut records = Vec::new();
    while payload.has_remaining() {
        let partition = payload.try_get_u8().ok()?;
        let append_time = Timestamp::from_millis(payload.try_get_i64().ok()?)?;
        let key_len = usize::try_from(payload.try_get_u32().ok()?).ok()?;
        let value_len = usize::try_from(payload.try_get_u32().ok()?).ok()?;
        if payload.remaining() < key_len.checked_add(value_len)? {
            return None;
        }
        let (key, value) = (payload.split_to(key_len), payload.split_to(value_len));
        let next = ends.get_mut(usize::from(partition))?;
        records.push((*next, Entry { partition: i32::from(partition), append_time, key, value }));
        *next += 1;
    }
    Some(Block { bases, ends, records })
}
