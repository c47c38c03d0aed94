//! Recovery of a journal from its directory: finds its end and its committed offsets.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    block::{self, SegmentHeader},
    options::JournalOptions,
    segment::{self, Next, Place},
};
use crate::log::LogOpenError;

/// The committed offsets as they are stored on disk.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Committed {
    pub(super) offsets: Vec<i64>,
    pub(super) restart: Place,
    /// Of dead letters: from which on redrives handled those of each record once. Older programs
    /// commit without it, because they do not redrive like that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) once_since: Option<i64>,
}

/// Finds the end of the journal: the last complete block of the last segment with a header.
pub(super) fn recover(
    dir: &Path,
    options: &JournalOptions,
) -> Result<(File, Place, Vec<i64>), LogOpenError> {
    let mut numbers = segment::list(dir)?;
    let mut is_last = true;
    while let Some(number) = numbers.pop() {
        let (file, header) = segment::open(dir, number)?;
        let Some((header, first)) = header else {
            // The process ended while it created this segment: nothing in it was acknowledged.
            if segment::block_after(&file, 0)? {
                return Err(LogOpenError::Corrupt(format!(
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
                // The next segment was created after all of this one was acknowledged.
                Next::Damaged if !is_last || segment::block_after(&file, position)? => {
                    let path = segment::path(dir, number);
                    return Err(LogOpenError::Corrupt(format!(
                        "{} is damaged at byte {position}",
                        path.display()
                    )));
                }
                Next::Damaged => {
                    tracing::warn!(
                        segment = number,
                        position,
                        "truncating the log after its last complete block; the bytes after it were never acknowledged"
                    );
                    file.set_len(position)?;
                    file.sync_all()?;
                    break;
                }
            }
        }
        return Ok((file, Place { segment: number, position }, ends));
    }
    let bases = vec![0; options.log.partitions.clamp(1, block::MAX_PARTITIONS) as usize];
    let header = SegmentHeader { created: options.clock.now(), bases: bases.clone() };
    let (file, position) = segment::create(dir, 0, &header)?;
    Ok((file, Place { segment: 0, position }, bases))
}

/// Checks that every segment from `first` to `last` exists.
pub(super) fn check_complete(dir: &Path, first: u64, last: u64) -> Result<(), LogOpenError> {
    let numbers = segment::list(dir)?;
    match (first..=last).find(|number| numbers.binary_search(number).is_err()) {
        Some(missing) => {
            let path = segment::path(dir, missing);
            Err(LogOpenError::Corrupt(format!("{} is missing", path.display())))
        }
        None => Ok(()),
    }
}

fn committed_path(dir: &Path) -> PathBuf {
    dir.join("committed.json")
}

pub(super) fn read_committed(dir: &Path) -> Result<Option<Committed>, LogOpenError> {
    match fs::read(committed_path(dir)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            LogOpenError::Corrupt(format!("committed.json cannot be read: {error}"))
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
