//! What a restart finds in a journal's directory: where it ends, and what was committed.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    JournalOptions,
    block::{self, SegmentHeader},
    segment::{self, Next, Place},
};
use crate::log::OpenError;

/// How the committed positions are spelled on disk.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Committed {
    pub(super) offsets: Vec<i64>,
    pub(super) restart: Place,
}

/// Finds the end of the journal: the last segment whose header is whole, behind its last whole block.
pub(super) fn recover(
    dir: &Path,
    options: &JournalOptions,
) -> Result<(File, Place, Vec<i64>), OpenError> {
    let mut numbers = segment::list(dir)?;
    let mut is_last = true;
    while let Some(number) = numbers.pop() {
        let (file, header) = segment::open(dir, number)?;
        let Some((header, first)) = header else {
            // The process ended while it was making this segment: nothing in it was acknowledged.
            if segment::block_behind(&file, 0)? {
                return Err(OpenError::Corrupt(format!(
                    "{} has no header",
                    segment::path(dir, number).display()
                )));
            }
            fs::remove_file(segment::path(dir, number))?;
            is_last = false;
            continue;
        };
        let (mut position, mut ends) = (first, header.bases);
        loop {
            match segment::next(&file, position)? {
                Next::Block(block, end) => (position, ends) = (end, block.ends),
                Next::End => break,
                // The next segment was begun only when all of this one was acknowledged.
                Next::Damaged if !is_last || segment::block_behind(&file, position)? => {
                    let path = segment::path(dir, number);
                    return Err(OpenError::Corrupt(format!(
                        "{} is damaged at byte {position}",
                        path.display()
                    )));
                }
                Next::Damaged => {
                    tracing::warn!(
                        segment = number,
                        position,
                        "cutting off a torn tail that was never acknowledged"
                    );
                    file.set_len(position)?;
                    file.sync_all()?;
                    break;
                }
            }
        }
        return Ok((file, Place { segment: number, position }, ends));
    }
    let bases = vec![0; options.partitions.clamp(1, block::MAX_PARTITIONS) as usize];
    let header = SegmentHeader { created: options.clock.now(), bases: bases.clone() };
    let (file, position) = segment::create(dir, 0, &header)?;
    Ok((file, Place { segment: 0, position }, bases))
}

/// Whether every segment from the first to be read to the last is there.
pub(super) fn complete(dir: &Path, first: u64, last: u64) -> Result<(), OpenError> {
    let numbers = segment::list(dir)?;
    match (first..=last).find(|number| numbers.binary_search(number).is_err()) {
        Some(missing) => {
            let path = segment::path(dir, missing);
            Err(OpenError::Corrupt(format!("{} is missing", path.display())))
        }
        None => Ok(()),
    }
}

fn committed_path(dir: &Path) -> PathBuf {
    dir.join("committed.json")
}

pub(super) fn read_committed(dir: &Path) -> Result<Option<Committed>, OpenError> {
    match fs::read(committed_path(dir)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            OpenError::Corrupt(format!("the committed positions cannot be read: {error}"))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn write_committed(dir: &Path, committed: &Committed) -> io::Result<()> {
    let new = dir.join("committed.new");
    let file = File::create(&new)?;
    serde_json::to_writer(&file, committed)?;
    file.sync_all()?;
    fs::rename(new, committed_path(dir))?;
    segment::sync_dir(dir)
}
