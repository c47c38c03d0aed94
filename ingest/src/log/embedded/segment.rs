//! The segment files of a journal: numbered files in one directory. Only the last one grows.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::block::{self, Block, SegmentHeader};

const EXTENSION: &str = "log";

/// A place between two blocks: a segment and a byte position in it. Ordered like the journal.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) position: u64,
}

/// The content of a segment at a place.
pub(super) enum Next {
    /// A complete block, and the position after it.
    Block(Block, u64),
    End,
    /// Bytes that are not a complete block.
    Damaged,
}

/// Lists the numbers of the segments in `dir`, in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.{EXTENSION}"))
}

/// Creates segment `number` and makes it durable; returns it with its first block's position.
pub(super) fn create(dir: &Path, number: u64, header: &SegmentHeader) -> io::Result<(File, u64)> {
    let bytes = block::write_header(header).map_err(io::Error::other)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path(dir, number))?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok((file, bytes.len() as u64))
}

/// Opens segment `number`; the header is `None` if it is torn.
pub(super) fn open(dir: &Path, number: u64) -> io::Result<(File, Option<(SegmentHeader, u64)>)> {
    let file = OpenOptions::new().read(true).write(true).open(path(dir, number))?;
    let mut start = vec![0; block::header_len(block::MAX_PARTITIONS as usize)];
    let read = read_up_to(&file, &mut start, 0)?;
    let header = block::read_header(&start[..read]).map(|(header, len)| (header, len as u64));
    Ok((file, header))
}

/// Reads the block at `position` of a segment.
pub(super) fn next(file: &File, position: u64) -> io::Result<Next> {
    let mut frame = [0; block::FRAME];
    match read_up_to(file, &mut frame, position)? {
        0 => return Ok(Next::End),
        block::FRAME => {}
        _ => return Ok(Next::Damaged),
    }
    let Some((len, crc)) = block::read_frame(&frame) else { return Ok(Next::Damaged) };
    let start = position + block::FRAME as u64;
    // A torn frame may claim any length: check the file before allocating that much.
    if file.metadata()?.len() < start + len as u64 {
        return Ok(Next::Damaged);
    }
    let mut payload = vec![0; len];
    file.read_exact_at(&mut payload, start)?;
    Ok(match block::read_payload(Bytes::from(payload), crc) {
        Some(block) => Next::Block(block, start + len as u64),
        None => Next::Damaged,
    })
}

/// Whether a complete block follows the damage at `position`: if so, the damage is not a torn tail.
pub(super) fn block_after(file: &File, position: u64) -> io::Result<bool> {
    let end = file.metadata()?.len();
    let mut chunk = vec![0; 1 << 20];
    let mut at = position + 1;
    while at < end {
        let read = read_up_to(file, &mut chunk, at)?;
        if read < block::FRAME {
            return Ok(false);
        }
        for (index, frame) in chunk[..read].windows(block::FRAME).enumerate() {
            let place = at + index as u64;
            if block::read_frame(frame).is_some() && matches!(next(file, place)?, Next::Block(..)) {
                return Ok(true);
            }
        }
        at += (read - block::FRAME + 1) as u64;
    }
    Ok(false)
}

/// Makes the directory entries of `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn read_up_to(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], position + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
