//! Splits a JSON document into the elements of its arrays of events, in bounded memory.
//!
//! Finds where elements begin and end, and nothing else: the service decides what an event is.

use std::io::{self, BufRead, ErrorKind};

use super::super::batch::MOST_BYTES;

/// Keys of an object are compared up to this length.
const KEY_BYTES: usize = 16;

/// The position in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the array or the object.
    Start,
    /// In the object, among its keys and simple values.
    Object,
    /// In an array or object beside the events, at this depth.
    Beside(u32),
    /// In the array of events, at this depth of an element.
    Element(u32),
    /// After the document.
    End,
}

/// The splitter of one document.
#[derive(Debug)]
pub(super) struct Document {
    state: State,
    /// Whether the array is a value of an object.
    is_in_object: bool,
    /// In a string: whether the last byte began an escape.
    string: Option<bool>,
    /// The last string of the object, or the present element on one line.
    text: Vec<u8>,
    is_too_long: bool,
    newlines: u64,
}

/// An element of an array of events.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    /// Its text, on one line.
    Text(&'a [u8]),
    /// It is longer than a request may be.
    TooLong,
}

impl Document {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            is_in_object: false,
            string: None,
            text: Vec::with_capacity(1024),
            is_too_long: false,
            newlines: 0,
        }
    }

    /// The number of line breaks in the document.
    pub(super) fn newlines(&self) -> u64 {
        self.newlines
    }

    /// Reads the document from `input`, and nothing after it. Calls `take` for each element, until
    /// `take` returns false; then returns false.
    ///
    /// # Errors
    /// Those of `input`, and [`ErrorKind::UnexpectedEof`] if the document has no end.
    pub(super) fn read(
        &mut self,
        input: &mut impl BufRead,
        mut take: impl FnMut(Element<'_>) -> bool,
    ) -> io::Result<bool> {
        while self.state != State::End {
            let bytes = match input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            if bytes.is_empty() {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the JSON broke off before the end of its array; the file is incomplete: copy \
                     or download it again",
                ));
            }
            let (mut read, mut is_wanted) = (0, true);
            while is_wanted && self.state != State::End && read < bytes.len() {
                if self.step(bytes[read]) {
                    is_wanted = self.give(&mut take);
                }
                read += 1;
            }
            input.consume(read);
            if !is_wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the next byte. Returns whether an element ends with it.
    fn step(&mut self, byte: u8) -> bool {
        self.newlines += u64::from(byte == b'\n');
        if let Some(is_escaped) = self.string {
            self.string = match byte {
                b'"' if !is_escaped => None,
                byte => Some(byte == b'\\' && !is_escaped),
            };
            // A line break in a string is invalid JSON, and so is this.
            self.keep(if byte == b'\n' { b'\r' } else { byte });
            return false;
        }
        match (self.state, byte) {
            (_, b'"') => {
                if self.state == State::Object {
                    self.text.clear();
                }
                self.string = Some(false);
                self.keep(byte);
            }
            (State::Start, b'[') => self.state = State::Element(0),
            (State::Start, b'{') => (self.state, self.is_in_object) = (State::Object, true),
            (State::Object, b'[') if matches!(&*self.text, b"\"events\"" | b"\"rows\"") => {
                self.text.clear();
                self.state = State::Element(0);
            }
            (State::Object, b'[' | b'{') => self.state = State::Beside(1),
            (State::Object, b'}') => self.state = State::End,
            (State::Beside(depth), b'[' | b'{') => self.state = State::Beside(depth + 1),
            (State::Beside(1), b']' | b'}') => self.state = State::Object,
            (State::Beside(depth), b']' | b'}') => self.state = State::Beside(depth - 1),
            (State::Element(0), b',') => return true,
            (State::Element(0), b']') => {
                self.state = if self.is_in_object { State::Object } else { State::End };
                return true;
            }
            (State::Element(depth), _) => self.step_in_element(depth, byte),
            _ => {}
        }
        false
    }

    fn step_in_element(&mut self, depth: u32, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                if self.text.last().is_some_and(|last| *last != b' ') {
                    self.keep(b' ');
                }
                return;
            }
            b'[' | b'{' => self.state = State::Element(depth + 1),
            // One bracket too many spoils only its element.
            b']' | b'}' => self.state = State::Element(depth.saturating_sub(1)),
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        match self.state {
            State::Element(_) if self.text.len() >= MOST_BYTES => self.is_too_long = true,
            State::Element(_) => self.text.push(byte),
            State::Object if self.text.len() < KEY_BYTES => self.text.push(byte),
            _ => {}
        }
    }

    /// Gives the present element to `take`, and begins the next one. There is none before the end
    /// of an empty array, and after a last comma.
    fn give(&mut self, take: &mut impl FnMut(Element<'_>) -> bool) -> bool {
        let is_wanted = match self.text.trim_ascii_end() {
            _ if self.is_too_long => take(Element::TooLong),
            [] => true,
            text => take(Element::Text(text)),
        };
        self.text.clear();
        self.is_too_long = false;
        is_wanted
    }
}

#[cfg(test)]
mod tests;
