//! Reads the input files: decompresses them, converts them to UTF-8, and splits them into events.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use indicatif::ProgressBar;
use shared::cli;

use self::{
    content::Content,
    document::{Document, Element},
    members::Members,
    peek::Peek,
    utf16::Utf16,
};
use super::batch::{At, Batcher, MOST_BYTES, Place};

mod content;
mod document;
mod members;
mod peek;
mod utf16;

const BUFFER: usize = 1 << 17;

/// The text of a file.
type Text<'a> = Peek<Box<dyn BufRead + 'a>>;

/// The numbers that the next event of a file has.
struct Position {
    file: u32,
    line: u64,
    index: u64,
}

/// Reads `files` in order into `batcher`, and advances `bar` by the bytes read.
///
/// # Errors
/// The first file that cannot be read to its end. The events before that are in `batcher`.
pub(super) fn read(
    files: &[PathBuf],
    bar: &ProgressBar,
    batcher: &mut Batcher,
) -> anyhow::Result<()> {
    for (file, path) in (0..).zip(files) {
        let raw: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(standard_input()),
            false => Box::new(
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?,
            ),
        };
        let wanted = read_one(bar.wrap_read(raw), file, batcher);
        match wanted.with_context(|| format!("cannot read {}", path.display()))? {
            true => {}
            false => break,
        }
    }
    Ok(())
}

/// Reads one file. Returns false if the receiver of the batches is closed.
pub(super) fn read_one(raw: impl Read, file: u32, batcher: &mut Batcher) -> io::Result<bool> {
    events(text_of(raw)?, file, batcher)
}

fn standard_input() -> io::StdinLock<'static> {
    let input = io::stdin();
    if input.is_terminal() {
        cli::say("bookend", "reading events from the terminal; end them with Ctrl-D");
    }
    input.lock()
}

/// Decompresses and decodes `raw` by its first bytes; the name of a file does not matter.
fn text_of<'a>(raw: impl Read + 'a) -> io::Result<Text<'a>> {
    let mut raw = Peek::new(BufReader::with_capacity(BUFFER, raw));
    let bytes: Box<dyn BufRead> = match members::is_compressed(raw.peek(4)) {
        true => Box::new(BufReader::with_capacity(BUFFER, Members::new(raw)?)),
        false => Box::new(raw),
    };
    let mut bytes = Peek::new(bytes);
    let (mark, is_big_endian) = match bytes.peek(4) {
        [0xef, 0xbb, 0xbf, ..] => (3, None),
        // UTF-32, which is not read.
        [0xff, 0xfe, 0, 0, ..] => (0, None),
        [0xff, 0xfe, ..] => (2, Some(false)),
        [0xfe, 0xff, ..] => (2, Some(true)),
        // Every JSON text begins with an ASCII character.
        [1..=255, 0, 1..=255, ..] => (0, Some(false)),
        [0, 1..=255, ..] => (0, Some(true)),
        _ => (0, None),
    };
    bytes.consume(mark);
    Ok(match is_big_endian {
        Some(is_big_endian) => Peek::new(Box::new(Utf16::new(bytes, is_big_endian))),
        None => bytes,
    })
}

fn events(mut text: Text<'_>, file: u32, batcher: &mut Batcher) -> io::Result<bool> {
    let mut position = Position { file, line: 1, index: 0 };
    loop {
        let is_open = match content::of(&mut text) {
            Content::Foreign(what) => return Err(io::Error::new(ErrorKind::InvalidData, what)),
            Content::Lines => return lines(text, &mut position, batcher),
            // Other documents or lines may follow.
            Content::Document => document(&mut text, &mut position, batcher)?,
        };
        if !is_open {
            return Ok(false);
        }
    }
}

fn document(
    text: &mut Text<'_>,
    position: &mut Position,
    batcher: &mut Batcher,
) -> io::Result<bool> {
    let mut document = Document::new();
    let is_open = document.read(text, |element| {
        let place = position.next_index();
        match element {
            Element::Text(event) => batcher.push(event, place),
            Element::TooLong => batcher.skip(place),
        }
    });
    position.line += document.newlines();
    is_open
}

fn lines(mut text: Text<'_>, position: &mut Position, batcher: &mut Batcher) -> io::Result<bool> {
    let mut line = Vec::with_capacity(1024);
    loop {
        line.clear();
        // A line that is too long for a body is not read into memory.
        if text.by_ref().take(MOST_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        let place = position.next_line();
        let is_open = if line.len() > MOST_BYTES && line.last() != Some(&b'\n') {
            text.skip_until(b'\n')?;
            batcher.skip(place)
        } else {
            batcher.push(&line, place)
        };
        if !is_open {
            return Ok(false);
        }
    }
}

impl Position {
    fn next_line(&mut self) -> Place {
        self.line += 1;
        Place { file: self.file, at: At::Line(self.line - 1) }
    }

    fn next_index(&mut self) -> Place {
        self.index += 1;
        Place { file: self.file, at: At::Index(self.index - 1) }
    }
}
