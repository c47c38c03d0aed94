//! The file format of a segment: a header, followed by blocks.
//!
//! A block holds the records that became durable together: a frame (magic, length, checksum), the
//! offset of the first record of every partition, and the records. The last block of the log was
//! never acknowledged if its checksum does not match.

use std::num::TryFromIntError;

use bytes::{Buf, BufMut, Bytes};
use shared::timestamp::Timestamp;

use crate::log::LogError;

/// The maximum number of partitions of a journal.
pub(super) const MAX_PARTITIONS: u32 = 64;
/// The length in bytes of a block's frame, which precedes its payload.
pub(super) const FRAME: usize = 12;
/// The maximum length of a payload in bytes, well above a group commit. A longer one is damage.
pub(super) const MAX_PAYLOAD: usize = 64 << 20;

/// The maximum length of a record in bytes. A block holds one of them beside a group.
pub(super) const MAX_ENTRY: usize = 32 << 20;

const SEGMENT_MAGIC: u64 = u64::from_be_bytes(*b"bookend1");
const BLOCK_MAGIC: u32 = u32::from_be_bytes(*b"blk1");

/// A record as a journal stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) partition: u8,
    pub(super) append_time: Timestamp,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

/// The header of a segment: its creation time, and the first offset of every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) created: Timestamp,
    pub(super) bases: Vec<i64>,
}

/// The records of one block, and the offsets before and after them.
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

/// Encodes a segment's header.
pub(super) fn write_header(header: &SegmentHeader) -> Result<Vec<u8>, TryFromIntError> {
    let mut out = Vec::with_capacity(header_len(header.bases.len()));
    out.put_u64(SEGMENT_MAGIC);
    out.put_i64(header.created.millis());
    out.put_u32(u32::try_from(header.bases.len())?);
    header.bases.iter().for_each(|base| out.put_i64(*base));
    out.put_u32(crc32fast::hash(&out));
    Ok(out)
}

/// Decodes a segment's header and the position of its first block; `None` if it is torn.
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

/// Encodes `entries` as a block into `out`. The first record of each partition has the offset in
/// `bases`; returns the offsets after the last records.
///
/// # Errors
/// [`LogError::Busy`] if an entry does not fit the format: nothing of it may become durable.
pub(super) fn write_block<'a>(
    bases: &[i64],
    entries: impl Iterator<Item = &'a Entry>,
    out: &mut Vec<u8>,
) -> Result<Vec<i64>, LogError> {
    let mut ends = bases.to_vec();
    out.clear();
    out.put_bytes(0, FRAME);
    out.put_u8(u8::try_from(bases.len()).map_err(unencodable)?);
    bases.iter().for_each(|base| out.put_i64(*base));
    for entry in entries {
        let end = ends.get_mut(usize::from(entry.partition)).ok_or_else(|| {
            LogError::Busy(format!("a record of partition {} has no partition", entry.partition))
        })?;
        *end += 1;
        out.put_u8(entry.partition);
        out.put_i64(entry.append_time.millis());
        out.put_u32(u32::try_from(entry.key.len()).map_err(unencodable)?);
        out.put_u32(u32::try_from(entry.value.len()).map_err(unencodable)?);
        out.put_slice(&entry.key);
        out.put_slice(&entry.value);
    }
    let crc = crc32fast::hash(&out[FRAME..]);
    let len = u32::try_from(out.len() - FRAME).map_err(unencodable)?;
    let mut frame = &mut out[..FRAME];
    frame.put_u32(BLOCK_MAGIC);
    frame.put_u32(len);
    frame.put_u32(crc);
    Ok(ends)
}

fn unencodable(error: TryFromIntError) -> LogError {
    LogError::Busy(format!("a length exceeds the block format: {error}"))
}

/// Decodes the length and checksum of the payload; `None` if the bytes are not a frame.
pub(super) fn read_frame(mut frame: &[u8]) -> Option<(usize, u32)> {
    if frame.try_get_u32().ok()? != BLOCK_MAGIC {
        return None;
    }
    let len = usize::try_from(frame.try_get_u32().ok()?).ok().filter(|len| *len <= MAX_PAYLOAD)?;
    Some((len, frame.try_get_u32().ok()?))
}

/// The length in bytes of an encoded record.
pub(super) fn entry_len(entry: &Entry) -> usize {
    1 + 8 + 4 + 4 + entry.key.len() + entry.value.len()
}

/// Decodes a payload; `None` if its checksum is not `crc`.
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
        records.push((*next, Entry { partition, append_time, key, value }));
        *next += 1;
    }
    Some(Block { bases, ends, records })
}
