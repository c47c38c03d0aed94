//! Reads the input files: decompresses them and splits them into lines.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use super::batch::{Batcher, MOST_BYTES};

const BUFFER: usize = 1 << 17;

/// Reads `files` in order into `batcher`, and advances `bar` by the bytes read.
pub(super) fn read(
    files: &[PathBuf],
    bar: &ProgressBar,
    batcher: &mut Batcher,
) -> anyhow::Result<()> {
    for path in files {
        let raw: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => Box::new(
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?,
            ),
        };
        let wanted = decompressed(bar.wrap_read(raw)).and_then(|input| lines(input, batcher));
        match wanted.with_context(|| format!("cannot read {}", path.display()))? {
            true => {}
            false => break,
        }
    }
    Ok(())
}

/// Decompresses `raw` by its first bytes; the name of a file does not matter.
fn decompressed<'a>(raw: impl Read + 'a) -> io::Result<BufReader<Box<dyn Read + 'a>>> {
    let mut raw = BufReader::with_capacity(BUFFER, raw);
    let mut magic = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut magic)?;
    let whole = io::Cursor::new(magic.clone()).chain(raw);
    let input: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::with_buffer(whole)?),
        _ => Box::new(whole),
    };
    Ok(BufReader::with_capacity(BUFFER, input))
}

/// Splits `input` into lines. Returns false if the receiver of the batches is closed.
fn lines(mut input: impl BufRead, batcher: &mut Batcher) -> io::Result<bool> {
    let mut line = Vec::with_capacity(1024);
    loop {
        line.clear();
        // A line that is too long for a body is not read into memory.
        if input.by_ref().take(MOST_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        if line.len() > MOST_BYTES && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            batcher.skip();
        } else if !batcher.push(&line) {
            return Ok(false);
        }
    }
}
