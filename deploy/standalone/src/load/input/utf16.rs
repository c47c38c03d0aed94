//! Converts UTF-16 to UTF-8.

use std::io::{self, BufRead, Read};

/// A byte that UTF-8 never has. It replaces half a surrogate pair, so that the service rejects the
/// event: any character in its place would change an id.
const INVALID: u8 = 0xff;

/// The text of `input` in UTF-8.
#[derive(Debug)]
pub(super) struct Utf16<R> {
    input: R,
    is_big_endian: bool,
    /// The first byte of a unit whose second byte is not read yet.
    first: Option<u8>,
    /// The first half of a surrogate pair.
    high: Option<u16>,
    text: Vec<u8>,
    /// The number of bytes of `text` that are read.
    read: usize,
}

impl<R: BufRead> Utf16<R> {
    pub(super) fn new(input: R, is_big_endian: bool) -> Self {
        Self { input, is_big_endian, first: None, high: None, text: Vec::new(), read: 0 }
    }

    /// Converts the bytes that the input has ready. `text` stays empty at the end.
    fn convert(&mut self) -> io::Result<()> {
        self.read = 0;
        self.text.clear();
        while self.text.is_empty() {
            let bytes = self.input.fill_buf()?;
            let taken = bytes.len();
            if taken == 0 {
                let is_cut = self.first.take().is_some() | self.high.take().is_some();
                self.text.extend(is_cut.then_some(INVALID));
                return Ok(());
            }
            for &byte in bytes {
                let Some(first) = self.first.take() else {
                    self.first = Some(byte);
                    continue;
                };
                let unit = match self.is_big_endian {
                    true => u16::from_be_bytes([first, byte]),
                    false => u16::from_le_bytes([first, byte]),
                };
                add(&mut self.text, &mut self.high, unit);
            }
            self.input.consume(taken);
        }
        Ok(())
    }
}

/// Appends the next `unit` to `text`.
fn add(text: &mut Vec<u8>, high: &mut Option<u16>, unit: u16) {
    let mut put = |character: Option<char>| match character {
        Some(character) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => text.push(INVALID),
    };
    match (high.take(), unit) {
        (Some(first), 0xdc00..0xe000) => {
            char::decode_utf16([first, unit]).for_each(|character| put(character.ok()));
        }
        (unpaired, _) => {
            if unpaired.is_some() {
                put(None);
            }
            match unit {
                0xd800..0xdc00 => *high = Some(unit),
                _ => put(char::from_u32(unit.into())),
            }
        }
    }
}

impl<R: BufRead> BufRead for Utf16<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.text.len() {
            self.convert()?;
        }
        Ok(&self.text[self.read..])
    }

    fn consume(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
