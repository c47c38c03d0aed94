//! The files of a journal: numbered segments in one directory, of which only the last grows.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::block::{self, Block, SegmentHeader};

const EXTENSION: &str = "log";

/// A place between blocks: a segment's number, and a position in it in bytes. Ordered as the journal is.
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

/// What stands at a place.
pub(super) enum Next {
    /// A whole block, and the place behind it.
    Block(Block, u64),
    /// The end of the file.
    End,
    /// Bytes that are no whole block.
    Damaged,
}

/// The numbers of the segments in `dir`, in order.
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

/// Makes segment `number` durable with its header; returns the file and where its first block goes.
pub(super) fn create(dir: &Path, number: u64, header: &SegmentHeader) -> io::Result<(File, u64)> {
    let bytes = block::write_header(header);
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

/// Opens segment `number`; `None` in place of the header when that is torn.
pub(super) fn open(dir: &Path, number: u64) -> io::Result<(File, Option<(SegmentHeader, u64)>)> {
    let file = OpenOptions::new().read(true).write(true).open(path(dir, number))?;
    let mut start = vec![0; block::header_len(block::MAX_PARTITIONS as usize)];
    let read = read_up_to(&file, &mut start, 0)?;
    let header = block::read_header(&start[..read]).map(|(header, len)| (header, len as u64));
    Ok((file, header))
}

/// What stands at `position` of a segment.
pub(super) fn next(file: &File, position: u64) -> io::Result<Next> {
    let mut frame = [0; block::FRAME];
    match read_up_to(file, &mut frame, position)? {
        0 => return Ok(Next::End),
        block::FRAME => {}
        _ => return Ok(Next::Damaged),
    }
    let Some((len, crc)) = block::read_frame(&frame) else { return Ok(Next::Damaged) };
    let start = position + block::FRAME as u64;
    // A torn frame may claim any length: nothing is set aside for bytes that are not there.
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

/// Whether a whole block stands anywhere behind the damage at `position`: then the damage is no torn tail.
pub(super) fn block_behind(file: &File, position: u64) -> io::Result<bool> {
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

/// Makes the names in `dir` durable.
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
