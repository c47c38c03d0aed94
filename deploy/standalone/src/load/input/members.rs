//! Decompresses gzip, bzip2 and Zstandard, which it recognises by their first bytes.
//!
//! A file may have several members (`cat a.gz b.gz`), and zero bytes after them, as tapes and block
//! devices leave them.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use zstd::Decoder as ZstdDecoder;

use super::peek::Peek;

/// The decompressed bytes of all members.
pub(super) struct Members<R: BufRead> {
    /// `None` at the end.
    member: Option<Member<Peek<R>>>,
}

enum Member<R: BufRead> {
    Gzip(GzDecoder<R>),
    Bzip2(BzDecoder<R>),
    Zstd(ZstdDecoder<'static, R>),
}

#[derive(Clone, Copy)]
enum Format {
    Gzip,
    Bzip2,
    Zstd,
}

impl Format {
    /// The format of data that begins with `bytes`.
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable frame, which parallel compressors write first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Whether `bytes` begin like compressed data.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    Format::of(bytes).is_some()
}

impl<R: BufRead> Members<R> {
    /// Decompresses `input`, whose first bytes are those of a member.
    pub(super) fn new(input: Peek<R>) -> io::Result<Self> {
        Ok(Self { member: next(input)? })
    }
}

/// Begins the next member after any zero bytes; `None` at the end.
fn next<R: BufRead>(mut input: Peek<R>) -> io::Result<Option<Member<Peek<R>>>> {
    let mut is_padded = false;
    loop {
        let some = input.fill_buf()?;
        let zeros = some.iter().take_while(|byte| **byte == 0).count();
        is_padded |= zeros > 0;
        let is_end = some.is_empty();
        let is_data = zeros < some.len();
        input.consume(zeros);
        if is_end {
            return Ok(None);
        }
        if is_data {
            break;
        }
    }
    let format = Format::of(input.peek(4)).ok_or_else(|| {
        let after = if is_padded { "zero bytes" } else { "the compressed data" };
        io::Error::new(
            ErrorKind::InvalidData,
            format!("other bytes follow {after}; remove them, or decompress the file first"),
        )
    })?;
    Ok(Some(match format {
        Format::Gzip => Member::Gzip(GzDecoder::new(input)),
        Format::Bzip2 => Member::Bzip2(BzDecoder::new(input)),
        Format::Zstd => Member::Zstd(ZstdDecoder::with_buffer(input)?.single_frame()),
    }))
}

impl<R: BufRead> Member<R> {
    fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Bzip2(_) => "bzip2",
            Self::Zstd(_) => "Zstandard",
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(member) => member.read(into),
            Self::Bzip2(member) => member.read(into),
            Self::Zstd(member) => member.read(into),
        }
    }

    fn into_inner(self) -> R {
        match self {
            Self::Gzip(member) => member.into_inner(),
            Self::Bzip2(member) => member.into_inner(),
            Self::Zstd(member) => member.finish(),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            match member.read(into) {
                Ok(0) if !into.is_empty() => self.member = next(member.into_inner())?,
                Ok(read) => {
                    self.member = Some(member);
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    self.member = Some(member);
                    return Err(error);
                }
                Err(error) => return Err(explained(member.name(), &error)),
            }
        }
        Ok(0)
    }
}

fn explained(format: &str, error: &io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::UnexpectedEof => {
            format!(
                "the {format} data broke off; the file is incomplete: copy or download it again"
            )
        }
        // The library's words say what is damaged.
        _ => format!("the {format} data cannot be decompressed: {error}"),
    };
    io::Error::new(error.kind(), text)
}
