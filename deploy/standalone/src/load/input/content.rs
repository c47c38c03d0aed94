//! Recognises by the first bytes of a text how its events are written, or which foreign format it
//! has. Parses no event.

use std::io::BufRead;

use super::{super::batch::MOST_BYTES, members, peek::Peek};

/// The bytes that are examined first; a tar archive has its mark near the end of them.
const FIRST: usize = 512;
/// The bytes that are examined before a text without JSON is taken for a table.
const TABLE: usize = 1 << 15;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// One event per line, or none.
    Lines,
    /// An array, or an object that has an array of them as `events` or `rows`.
    Document,
    /// Something that is not read: its name, and what to do.
    Foreign(&'static str),
}

/// Other formats by their first bytes.
#[rustfmt::skip]
const MAGIC: [(&[u8], &str); 12] = [
    (b"PK\x03\x04", "this is a ZIP archive (or a spreadsheet); unpack it: unzip -p FILE | bookend load -"),
    (b"PK\x05\x06", "this is an empty ZIP archive"),
    (b"\xfd7zXZ\0", "this is compressed with xz; decompress it: xz -dc FILE | bookend load -"),
    (b"7z\xbc\xaf\x27\x1c", "this is a 7z archive; unpack it: 7z x -so FILE | bookend load -"),
    (b"\x04\x22\x4d\x18", "this is compressed with lz4; decompress it: lz4 -dc FILE | bookend load -"),
    (b"Rar!", "this is a RAR archive; unpack it: unrar p -inul FILE | bookend load -"),
    (b"PAR1", "this is Parquet; export it as JSON, one object per line"),
    (b"ORC", "this is ORC; export it as JSON, one object per line"),
    (b"Obj\x01", "this is Avro; export it as JSON: avro-tools tojson FILE | bookend load -"),
    (b"SQLite format 3\0", "this is a SQLite database; export its rows as JSON"),
    (b"%PDF", "this is a PDF document; expected JSON"),
    (b"\xd0\xcf\x11\xe0", "this is an old Office document; export it as JSON"),
];
const TAR: &str = "this is a tar archive; unpack it: tar -xOf FILE | bookend load -";
const TWICE: &str = "this is compressed twice; decompress it once: zcat FILE | bookend load -";
const BINARY: &str = "this is binary data in an unknown format; expected JSON";
const UTF32: &str = "this is UTF-32; convert it: iconv -f UTF-32 -t UTF-8 FILE | bookend load -";
const HTML: &str = "this is an HTML page, perhaps the error or login page of a download; \
                    open it in a browser, then download the file again";
const XML: &str = "this is XML; convert it to JSON, one object per line";
const CSV: &str = "this is CSV; convert it to JSON with the keys user_id, session_id, event, ts and \
                   country: mlr --icsv --ojsonl cat FILE | bookend load -";
const SEVERAL_LINES: &str = "these are JSON objects of several lines each; write one per line: \
                             jq -c . FILE | bookend load -";

/// Recognises the rest of `input`, and reads none of it.
pub(super) fn of(input: &mut Peek<impl BufRead>) -> Content {
    let mut wanted = FIRST;
    loop {
        let head = input.peek(wanted);
        let is_all = head.len() < wanted;
        match recognise(head, is_all) {
            Some(content) => return content,
            None if is_all || wanted > MOST_BYTES => return undecided(head),
            None => wanted *= 4,
        }
    }
}

/// A text of which more would have to be examined: it is longer than an event may be, or cut.
fn undecided(head: &[u8]) -> Content {
    match head.trim_ascii_start().first() {
        Some(b'[') => Content::Document,
        _ => Content::Lines,
    }
}

/// `None` if more bytes decide.
fn recognise(head: &[u8], is_all: bool) -> Option<Content> {
    if let Some(foreign) = binary(head) {
        return Some(Content::Foreign(foreign));
    }
    let text = head.trim_ascii_start();
    match text {
        [] => None,
        [b'[', ..] => array(text, is_all),
        [b'{', ..] => object(text),
        [b'<', ..] => Some(Content::Foreign(markup(text))),
        _ => lines_or_table(text, is_all),
    }
}

fn binary(head: &[u8]) -> Option<&'static str> {
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*name);
    }
    if members::is_compressed(head) {
        return Some(TWICE);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(TAR);
    }
    let start = &head[..head.len().min(FIRST)];
    let is_utf32 = matches!(
        start,
        [0xff, 0xfe, 0, 0, ..]
            | [0, 0, 0xfe, 0xff, ..]
            | [0, 0, 0, 1..=255, ..]
            | [1..=255, 0, 0, 0, ..]
    );
    match start.contains(&0) {
        true if is_utf32 => Some(UTF32),
        true => Some(BINARY),
        false => None,
    }
}

fn markup(text: &[u8]) -> &'static str {
    let start = text[..text.len().min(14)].to_ascii_lowercase();
    let pages: [&[u8]; 4] = [b"<!doctype html", b"<html", b"<head", b"<body"];
    if pages.iter().any(|page| start.starts_with(page)) { HTML } else { XML }
}

/// An array of events. A line with an array among lines of events is one invalid event.
fn array(text: &[u8], is_all: bool) -> Option<Content> {
    let inner = text[1..].trim_ascii_start();
    match inner.first() {
        // The elements would be arrays.
        Some(b'[') => return Some(Content::Lines),
        Some(_) => {}
        None => return None,
    }
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return is_all.then_some(Content::Document);
    };
    let (line, rest) = (text[..end].trim_ascii_end(), text[end..].trim_ascii_start());
    match (line.last(), rest.first()) {
        (Some(b']'), Some(b'{')) => Some(Content::Lines),
        (Some(b']'), None) if !is_all => None,
        _ => Some(Content::Document),
    }
}

/// An object: an event, or one that has the events.
fn object(text: &[u8]) -> Option<Content> {
    let (mut at, mut is_first) = (1, true);
    loop {
        let (key_at, has_newline) = white_space(text, at)?;
        if text[key_at] != b'"' {
            return Some(Content::Lines);
        }
        let is_printed = is_first && has_newline;
        let key_end = string_end(text, key_at)?;
        let (colon, _) = white_space(text, key_end)?;
        let (value, _) = white_space(text, colon + 1)?;
        match &text[key_at + 1..key_end - 1] {
            b"events" | b"rows" if text[value] == b'[' => return Some(Content::Document),
            b"user_id" | b"player_id" | b"session_id" | b"event" | b"ts" | b"country" => {
                return Some(match is_printed {
                    true => Content::Foreign(SEVERAL_LINES),
                    false => Content::Lines,
                });
            }
            _ => {}
        }
        at = value_end(text, value)?;
        if text[at] != b',' {
            return Some(Content::Lines);
        }
        (at, is_first) = (at + 1, false);
    }
}

/// The position of the next byte that is not white space, and whether a newline comes before it.
fn white_space(text: &[u8], from: usize) -> Option<(usize, bool)> {
    let rest = text.get(from..)?;
    let length = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
    Some((from + length, rest[..length].contains(&b'\n')))
}

/// The position after the string that begins at `from`.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The position of the comma or bracket after the value that begins at `from`.
fn value_end(text: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0);
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' | b',' if depth == 0 => return Some(at),
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// Neither an object nor an array begins the text.
fn lines_or_table(text: &[u8], is_all: bool) -> Option<Content> {
    let lines = || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    if lines().any(|line| line.starts_with(b"{") || line.starts_with(b"[")) {
        return Some(Content::Lines);
    }
    if !is_all && text.len() < TABLE {
        return None;
    }
    let is_separator = |byte: &u8| matches!(byte, b',' | b';' | b'\t' | b'|');
    let is_table = lines().next().is_some_and(|line| {
        line.iter().any(is_separator) && !line.contains(&b'{') && !line.contains(&b'}')
    });
    Some(if is_table { Content::Foreign(CSV) } else { Content::Lines })
}
