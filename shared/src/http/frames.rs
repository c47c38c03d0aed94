//! The frames of HTTP/2 that a connection receives. They show whether the client has begun a block
//! of headers and not completed it.
//!
//! The HTTP library reads the same bytes and does not say so. While a block is incomplete it can
//! read nothing else of the connection.

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of the header of a frame.
const HEAD: usize = 9;
/// The types of frames that hold headers.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The flag of a frame that completes a block of headers.
const END_HEADERS: u8 = 4;

/// Follows the bytes of one connection, from the first one.
#[derive(Debug, Default)]
pub(super) struct Frames {
    protocol: Protocol,
    /// The bytes of the preface, then of the header of the current frame, that have arrived.
    head: [u8; HEAD],
    arrived: usize,
    /// The bytes of the current frame's content that have not arrived.
    missing: usize,
    in_headers: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Protocol {
    /// All bytes so far are the begin of the preface.
    #[default]
    Unknown,
    Http1,
    Http2,
}

impl Frames {
    /// Takes the next `bytes` of the connection.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.protocol == Protocol::Unknown {
            let Some((byte, after)) = rest.split_first() else { return };
            if *byte == PREFACE[self.arrived] {
                self.arrived += 1;
                rest = after;
            } else {
                self.protocol = Protocol::Http1;
            }
            if self.arrived == PREFACE.len() {
                (self.protocol, self.arrived) = (Protocol::Http2, 0);
            }
        }
        while self.is_http2() && !rest.is_empty() {
            rest = self.next(rest);
        }
    }

    /// Takes the next part of a frame from `bytes`, and returns the rest.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let in_head = self.arrived < HEAD;
        let wanted = if in_head { HEAD - self.arrived } else { self.missing };
        let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
        if in_head {
            self.head[self.arrived..][..taken.len()].copy_from_slice(taken);
            self.arrived += taken.len();
            if self.arrived < HEAD {
                return rest;
            }
            let [a, b, c, kind, ..] = self.head;
            self.missing = u32::from_be_bytes([0, a, b, c]) as usize;
            self.in_headers |= matches!(kind, HEADERS | CONTINUATION);
        } else {
            self.missing -= taken.len();
        }
        if self.missing == 0 {
            let [.., kind, flags, _, _, _, _] = self.head;
            if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
                self.in_headers = false;
            }
            self.arrived = 0;
        }
        rest
    }

    pub(super) fn is_http2(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// Whether the last block of headers is incomplete.
    pub(super) fn in_headers(&self) -> bool {
        self.in_headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], content].concat()
    }

    /// For each number of bytes, whether the block of headers is incomplete after them.
    fn incomplete(bytes: &[u8], at_a_time: usize) -> Vec<bool> {
        let mut frames = Frames::default();
        frames.received(PREFACE);
        let mut seen = Vec::new();
        for some in bytes.chunks(at_a_time) {
            frames.received(some);
            seen.push(frames.in_headers());
        }
        seen
    }

    #[test]
    fn headers_are_incomplete_until_the_frame_that_ends_them_has_arrived() {
        let bytes = [
            frame(4, 0, &[0; 6]),
            frame(HEADERS, 1, b"begin"),
            frame(CONTINUATION, 0, b""),
            frame(CONTINUATION, END_HEADERS, b"end"),
            frame(0, 1, b"headers of HTTP/1.1"),
        ]
        .concat();
        // The first frame has 15 bytes; the next three, which are 14, 9 and 12 long, are the block.
        let begin = 15 + HEAD - 1;
        let end = 15 + 14 + 9 + 12 - 1;
        let expected: Vec<_> = (0..bytes.len()).map(|at| (begin..end).contains(&at)).collect();
        assert_eq!(incomplete(&bytes, 1), expected);
        assert_eq!(incomplete(&bytes, bytes.len()), [false]);
        assert_eq!(incomplete(&bytes[..40], 40), [true]);
    }

    #[test]
    fn a_block_in_one_frame_is_complete_at_once() {
        for content in [&b""[..], b"headers"] {
            let bytes = frame(HEADERS, END_HEADERS | 1, content);
            assert_eq!(incomplete(&bytes, bytes.len()), [false]);
        }
    }

    #[test]
    fn only_the_whole_preface_is_http2() {
        for (sent, is_http2) in [
            (&PREFACE[..], true),
            (&PREFACE[..23], false),
            (b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n", false),
            (b"GET / HTTP/1.1\r\n\r\n", false),
        ] {
            for at_a_time in [1, 100] {
                let mut frames = Frames::default();
                sent.chunks(at_a_time).for_each(|some| frames.received(some));
                assert_eq!(frames.is_http2(), is_http2, "{sent:?}");
            }
        }
    }
}
