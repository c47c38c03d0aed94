//! The bar on standard error. It draws nothing unless that is a terminal.

use std::{fs, path::PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the bytes of `files`, or a mere count of them when there is one whose size is not known.
pub(super) fn of_files(files: &[PathBuf]) -> ProgressBar {
    let sizes =
        files.iter().map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()));
    let (bar, template) = match sizes.sum::<Option<u64>>() {
        Some(bytes) => {
            (ProgressBar::new(bytes), "loading {wide_bar} {bytes}/{total_bytes}, {msg} events/s, {eta} left")
        }
        None => (ProgressBar::no_length(), "loading {spinner} {bytes}, {msg} events/s, {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
