//! A reader whose next bytes can be examined before they are read.

use std::io::{self, BufRead, Read};

/// Reads `rest` after the bytes that were examined.
#[derive(Debug)]
pub(super) struct Peek<R> {
    examined: Vec<u8>,
    /// The number of examined bytes that are read.
    read: usize,
    /// The error that ended the examination. It is returned after the examined bytes.
    failed: Option<io::Error>,
    rest: R,
}

impl<R: BufRead> Peek<R> {
    pub(super) fn new(rest: R) -> Self {
        Self { examined: Vec::new(), read: 0, failed: None, rest }
    }

    /// Returns at least the next `wanted` bytes without reading them; fewer only at the end, or
    /// before an error.
    pub(super) fn peek(&mut self, wanted: usize) -> &[u8] {
        self.examined.drain(..self.read);
        self.read = 0;
        while self.failed.is_none() && self.examined.len() < wanted {
            match self.rest.fill_buf() {
                Ok([]) => break,
                Ok(more) => {
                    let more = &more[..more.len().min(wanted - self.examined.len())];
                    self.examined.extend_from_slice(more);
                    let taken = more.len();
                    self.rest.consume(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        &self.examined
    }
}

impl<R: BufRead> BufRead for Peek<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.examined.get(self.read..) {
            Some(unread @ [_, ..]) => Ok(unread),
            _ => match self.failed.take() {
                Some(error) => Err(error),
                None => self.rest.fill_buf(),
            },
        }
    }

    fn consume(&mut self, bytes: usize) {
        if self.read < self.examined.len() {
            self.read += bytes;
        } else {
            self.rest.consume(bytes);
        }
    }
}

impl<R: BufRead> Read for Peek<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
