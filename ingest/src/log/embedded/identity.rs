//! The identity of an embedded log: a random number in the file `id` of its directory.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};

use shared::store::LogId;

use super::segment;

/// Reads the identity of the log in `dir`. A log without one gets a new one.
pub(super) fn read_or_create(dir: &Path) -> io::Result<LogId> {
    read(dir)?.map_or_else(|| create(dir), Ok)
}

/// Reads the identity of the log in `dir`, and writes nothing. A log without one has one that
/// nothing else has, until it is closed.
pub(super) fn read_only(dir: &Path) -> io::Result<LogId> {
    read(dir)?.map_or_else(random, Ok)
}

fn read(dir: &Path) -> io::Result<Option<LogId>> {
    let text = match fs::read(dir.join("id")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let id = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    if id.is_none() {
        tracing::warn!("the file `id` of the log cannot be read; the log gets a new identity");
    }
    Ok(id)
}

fn random() -> io::Result<LogId> {
    let mut id = LogId([0; 16]);
    getrandom::fill(&mut id.0).map_err(io::Error::other)?;
    Ok(id)
}

/// Gives the log in `dir` a new identity, durably.
pub(super) fn create(dir: &Path) -> io::Result<LogId> {
    let id = random()?;
    let new = dir.join("id.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(new, dir.join("id"))?;
    segment::sync_dir(dir)?;
    Ok(id)
}
