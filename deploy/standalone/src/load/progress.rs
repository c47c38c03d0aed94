//! The progress bar of `bookend load`.

use std::{fs, path::PathBuf};

use shared::progress::Progress;

/// A bar over the bytes of `files`, or a counter if the size of one is unknown.
pub(super) fn of_files(files: &[PathBuf]) -> Progress {
    let sizes = files
        .iter()
        .map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()));
    match sizes.sum::<Option<u64>>() {
        bytes @ Some(_) => Progress::new(
            bytes,
            "loading {wide_bar} {bytes}/{total_bytes}, {msg} events/s, {eta} left",
        ),
        None => Progress::new(None, "loading {spinner} {bytes}, {msg} events/s, {elapsed}"),
    }
}
