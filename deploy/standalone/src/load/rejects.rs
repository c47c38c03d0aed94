//! The events that the service does not keep: their places in words, and the file of `--rejects`.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

use super::{
    batch::{At, Place},
    reply::Refused,
};

/// The most characters of a detail in a message.
const DETAIL: usize = 200;

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    file: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

/// The file of `--rejects`: a line of JSON for each event.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    output: BufWriter<File>,
}

impl Rejects {
    /// Creates the file, which replaces an older one.
    ///
    /// # Errors
    /// It cannot be created, or is one of the `inputs`.
    pub(super) fn create(path: &Path, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let is_input =
            |input: &PathBuf| identity(path).is_some_and(|id| identity(input) == Some(id));
        anyhow::ensure!(
            !inputs.iter().any(is_input),
            "--rejects: {} is an input; name another file",
            path.display()
        );
        let output = File::create(path);
        let output =
            output.with_context(|| format!("--rejects: cannot create {}", path.display()))?;
        Ok(Self { path: path.to_owned(), output: BufWriter::new(output) })
    }

    /// Writes events of `files`.
    pub(super) fn write(&mut self, refused: &[Refused], files: &[PathBuf]) -> anyhow::Result<()> {
        let written = refused.iter().try_for_each(|event| self.write_line(event, files));
        written.with_context(|| self.failed())
    }

    /// Writes what is buffered.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.output.flush().with_context(|| self.failed())
    }

    fn write_line(&mut self, refused: &Refused, files: &[PathBuf]) -> io::Result<()> {
        let (line, index) = match refused.place.at {
            At::Line(line) => (Some(line), None),
            At::Index(index) => (None, Some(index)),
        };
        let file = file_of(refused.place, files).to_string_lossy();
        let line = Line { file, line, index, code: &refused.code, detail: &refused.detail };
        serde_json::to_writer(&mut self.output, &line)?;
        self.output.write_all(b"\n")
    }

    fn failed(&self) -> String {
        format!("--rejects: cannot write {}", self.path.display())
    }
}

/// An event of `files` in words: where it is, its code and its detail.
pub(super) fn in_words(refused: &Refused, files: &[PathBuf]) -> String {
    let file = file_of(refused.place, files).display();
    let place = match refused.place.at {
        At::Line(line) => format!("line {line} of {file}"),
        At::Index(index) => format!("index {index} of {file}"),
    };
    let detail: String = refused.detail.chars().take(DETAIL).collect();
    let separator = if detail.is_empty() { "" } else { ": " };
    format!("{place}: {}{separator}{detail}", refused.code)
}

/// The file of an event; events that a program sends have none.
fn file_of(place: Place, files: &[PathBuf]) -> &Path {
    let file = usize::try_from(place.file).ok().and_then(|file| files.get(file));
    file.map_or(Path::new("-"), PathBuf::as_path)
}
