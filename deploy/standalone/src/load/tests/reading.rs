//! Reads events from files of every format, and names the formats that are not read.

use std::io::{Read, Write};

use super::*;

/// The events of a file with their places, and why it could not be read to its end.
fn read(content: &[u8]) -> (Vec<(String, At)>, Option<String>) {
    let (_directory, paths) = files(&[content]);
    let (batches, mut fed) = mpsc::channel(1_000);
    let mut batcher = Batcher::new(1_000, batches);
    let result = input::read(&paths, &ProgressBar::hidden(), &mut batcher);
    batcher.finish();
    let mut events = Vec::new();
    while let Ok(batch) = fed.try_recv() {
        let lines = batch.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned());
        events.extend(lines.zip(batch.places.iter().map(|place| place.at)));
        events.extend(batch.too_long.iter().map(|place| ("too long".to_owned(), place.at)));
    }
    (events, result.err().map(|error| format!("{error:#}")))
}

/// The events of a file that can be read.
fn events(content: &[u8]) -> Vec<(String, At)> {
    let (events, error) = read(content);
    assert_eq!(error, None);
    events
}

fn at_lines(range: std::ops::Range<u32>) -> Vec<(String, At)> {
    (1..).map(At::Line).zip(lines(range)).map(|(at, line)| (line, at)).collect()
}

fn at_indexes(range: std::ops::Range<u32>) -> Vec<(String, At)> {
    (0..).map(At::Index).zip(lines(range)).map(|(at, line)| (line, at)).collect()
}

fn text(range: std::ops::Range<u32>) -> String {
    lines(range).join("\n") + "\n"
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;

/// The three compressions with their names.
const COMPRESSIONS: [(&str, Compress); 3] = [("gzip", gzip), ("bzip2", bzip2), ("Zstandard", zstd)];

fn utf16(text: &str, is_big_endian: bool) -> Vec<u8> {
    let unit = |unit: u16| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn lines_and_arrays_are_read_with_their_places() {
    assert_eq!(events(text(0..3).as_bytes()), at_lines(0..3));
    let blank = format!("\r\n{}\r\n\n  \n{}", lines(0..1)[0], lines(1..2)[0]);
    let expected =
        [(lines(0..1)[0].clone() + "\r", At::Line(2)), (lines(1..2)[0].clone(), At::Line(5))];
    assert_eq!(events(blank.as_bytes()), expected);

    let elements = lines(0..3);
    let one_line = elements.join(",");
    let printed = elements.join(",\n  ");
    for array in [
        format!("[{one_line}]"),
        format!("\n [\n  {printed}\n]\n"),
        format!("[{one_line},]"),
        format!(r#"{{"rows":[{one_line}]}}"#),
        format!(r#"{{"events" : [{one_line}]}}"#),
        format!("{{\n  \"rows\": [\n{printed}\n  ]\n}}\n"),
        format!(
            r#"{{"a":{{"rows":[1,"}}"]}},"b":"[","c":1e5,"events":[{one_line}],"d":[[2]],"e":"x"}}"#
        ),
    ] {
        assert_eq!(events(array.as_bytes()), at_indexes(0..3), "{array}");
    }
    for empty in ["", "\n \r\n", "[]", "[\n]", r#"{"rows":[]}"#] {
        assert!(events(empty.as_bytes()).is_empty(), "{empty}");
    }
    // Documents may follow each other, and so may lines.
    let several = format!("[{one_line}]\n[\n{printed}\n]\n{}", text(0..1));
    let several = events(several.as_bytes());
    assert_eq!(several[3], (elements[0].clone(), At::Index(3)));
    assert_eq!(several[6], (elements[0].clone(), At::Line(7)));
}

#[test]
fn an_element_stays_one_event_whatever_it_holds() {
    let array = "[ {\"a\" : \"],[\\\"{\",\n\t\"b\":[1,\n2]} , \"x\", null,-1.5e3 ,[],{\"c\":1}} ]";
    let expected =
        ["{\"a\" : \"],[\\\"{\", \"b\":[1, 2]}", "\"x\"", "null", "-1.5e3", "[]", "{\"c\":1}}"];
    let found: Vec<_> = events(array.as_bytes()).into_iter().map(|(event, _)| event).collect();
    assert_eq!(found, expected);
    // A line break in a string is invalid, and does not become two events.
    assert_eq!(events(b"[{\"a\":\"b\nc\"}]"), [("{\"a\":\"b\rc\"}".to_owned(), At::Index(0))]);
}

#[test]
fn a_first_line_that_is_invalid_spoils_only_itself() {
    let event = &lines(0..1)[0];
    for first in [
        "[{\"number\":0}]",
        "[]",
        &"[".repeat(10_000),
        "[[1]]",
        "{\"user_id\":\"u\",",
        "{\"user_id\":\"u",
        "{\"user_id\":{",
        "{",
        "{}",
        "}",
        "42",
        "\"start\"",
        "{\"rows\":1}",
        "{\"user_id\":\"u\",\"rows\":[1]}",
        "\u{ff}, x",
    ] {
        let text = format!("{first}\n{event}\n{event}\n");
        let expected = [first, event, event].map(ToString::to_string);
        let found: Vec<_> = events(text.as_bytes()).into_iter().map(|(event, _)| event).collect();
        assert_eq!(found, expected, "{first}");
    }
}

#[test]
fn files_are_decompressed_as_their_bytes_say_with_members_and_padding() {
    for (name, compress) in COMPRESSIONS {
        let (one, other) = (compress(text(0..10).as_bytes()), compress(text(10..20).as_bytes()));
        let several = [&one[..], &other].concat();
        assert_eq!(events(&several), at_lines(0..20), "{name}");
        for padding in [1, 512, 300_000] {
            let padded = [&several[..], &vec![0; padding]].concat();
            assert_eq!(events(&padded), at_lines(0..20), "{name}");
        }
        let between = [&one[..], &[0; 512], &other].concat();
        assert_eq!(events(&between), at_lines(0..20), "{name}");
        let (found, error) = read(&[&one[..], b"more"].concat());
        assert_eq!(found, at_lines(0..10), "{name}");
        assert!(error.unwrap().contains("other bytes follow"), "{name}");
        // A document is read from compressed bytes as well.
        let array = compress(format!("[{}]", lines(0..3).join(",")).as_bytes());
        assert_eq!(events(&array), at_indexes(0..3), "{name}");
    }
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &zstd(b"1\n")].concat();
    assert_eq!(events(&skippable), [("1".to_owned(), At::Line(1))]);
}

#[test]
fn a_file_that_broke_off_says_so_and_keeps_the_events_before() {
    // Too many for one block, so that some are whole before the end is missing.
    let many = text(0..200_000);
    for (name, compress) in COMPRESSIONS {
        let whole = compress(many.as_bytes());
        let (found, error) = read(&whole[..whole.len() - 6]);
        let error = error.unwrap();
        assert!(error.contains(&format!("the {name} data broke off")), "{error}");
        assert!(found.len() > 1_000 && found[..] == at_lines(0..200_000)[..found.len()], "{name}");
    }
    // Only the check sum is missing.
    let whole = gzip(text(0..10).as_bytes());
    assert_eq!(read(&whole[..whole.len() - 6]).0, at_lines(0..10));
    for start in [1, 5, 12] {
        let error = read(&whole[..start]).1;
        assert_eq!(error.is_some_and(|error| error.contains("broke off")), start > 1);
    }
    for array in ["[{\"number\":0},{\"numb", "{\"rows\":[{\"number\":0},", "[{\"number\":0}, \""] {
        let (found, error) = read(array.as_bytes());
        assert_eq!(found, at_indexes(0..1), "{array}");
        assert!(error.unwrap().contains("broke off"), "{array}");
    }
}

#[test]
fn damaged_data_says_what_is_damaged() {
    let mut damaged = gzip(text(0..1_000).as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    let error = read(&damaged).1.unwrap();
    assert!(error.contains("the gzip data cannot be decompressed"), "{error}");
}

#[test]
fn utf_16_and_utf_8_are_read_with_and_without_a_mark() {
    let event = r#"{"name":"Zoë 😀"}"#;
    let expected = [(event.to_owned(), At::Line(1)), (event.to_owned(), At::Line(2))];
    let text = format!("{event}\n{event}\n");
    let marked = format!("\u{feff}{text}");
    assert_eq!(events(marked.as_bytes()), expected);
    for is_big_endian in [false, true] {
        assert_eq!(events(&utf16(&text, is_big_endian)), expected);
        assert_eq!(events(&utf16(&marked, is_big_endian)), expected);
        assert_eq!(events(&gzip(&utf16(&marked, is_big_endian))), expected);
        let array = utf16(&format!("[{event}]"), is_big_endian);
        assert_eq!(events(&array), [(event.to_owned(), At::Index(0))]);
    }
}

/// A replacement character would change an id without a word.
#[test]
fn half_a_surrogate_pair_makes_its_line_invalid_and_no_other() {
    let unit = |unit: u16| unit.to_le_bytes();
    for half in [&[0xd83d_u16][..], &[0xde00], &[0xd83d, 0xd83d]] {
        let half: Vec<u8> = half.iter().copied().flat_map(unit).collect();
        let file = [utf16("1\n\"", false), half, utf16("\"\n2", false), vec![b'x']].concat();
        let (batches, mut fed) = mpsc::channel(1);
        let mut batcher = Batcher::new(10, batches);
        let (_directory, paths) = files(&[&file]);
        input::read(&paths, &ProgressBar::hidden(), &mut batcher).unwrap();
        batcher.finish();
        let body = fed.try_recv().unwrap().body;
        let lines: Vec<_> = body.split(|byte| *byte == b'\n').map(std::str::from_utf8).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], Ok("1"));
        assert!(lines[1].is_err(), "{body:?}");
        // A unit of one byte.
        assert!(lines[2].is_err(), "{body:?}");
    }
}

#[test]
fn other_formats_are_named_with_advice() {
    let mut tar = vec![0; 1024];
    tar[..6].copy_from_slice(b"a.json");
    tar[257..262].copy_from_slice(b"ustar");
    let csv = "user_id,session_id,event,ts,country\nu,s,start,2026-06-01T12:00:00Z,SK\n";
    let printed = "{\n  \"user_id\": \"u\"\n}\n{\n  \"user_id\": \"u\"\n}\n";
    let utf32: Vec<u8> = "{}".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let formats: [(&[u8], &str); 18] = [
        (b"PK\x03\x04\x14\0", "this is a ZIP archive"),
        (b"\xfd7zXZ\0\0", "xz -dc"),
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"PAR1\x15", "Parquet"),
        (b"Obj\x01", "Avro"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", "binary data"),
        (&tar, "tar -xOf"),
        (&gzip(&tar), "tar -xOf"),
        (&gzip(&gzip(b"{}")), "compressed twice"),
        (b"\n<!DOCTYPE html>\n<title>Sign in</title>", "HTML page"),
        (b"<html lang=\"en\">", "HTML page"),
        (b"<?xml version=\"1.0\"?>", "this is XML"),
        (csv.as_bytes(), "this is CSV"),
        (b"\xef\xbb\xbf\"user_id\";\"event\"\n", "this is CSV"),
        (&utf16(csv, false), "this is CSV"),
        (&gzip(csv.repeat(10_000).as_bytes()), "this is CSV"),
        (printed.as_bytes(), "jq -c"),
        (&utf32, "UTF-32"),
    ];
    for (content, name) in formats {
        let (found, error) = read(content);
        let error = error.unwrap_or_default();
        assert!(error.starts_with("cannot read ") && error.contains(name), "{name}: {error}");
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

/// A directory can be opened, but not read.
#[test]
fn a_directory_is_not_an_empty_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut batcher = Batcher::new(1, mpsc::channel(1).0);
    let paths = [directory.path().to_owned()];
    let error = input::read(&paths, &ProgressBar::hidden(), &mut batcher).unwrap_err();
    assert!(format!("{error:#}").contains("directory"), "{error:#}");
}

/// An array that has no end.
struct Endless {
    sent: Arc<Mutex<usize>>,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut sent = self.sent.lock().unwrap();
        let start = if *sent == 0 { "[" } else { "" };
        let some = format!("{start}{{\"number\":1}},").into_bytes();
        *sent += some.len();
        (&some[..]).read(into)
    }
}

#[test]
fn an_array_of_any_length_is_sent_while_it_is_read() {
    let sent = Arc::new(Mutex::new(0));
    let (batches, mut fed) = mpsc::channel(1);
    let endless = Endless { sent: Arc::clone(&sent) };
    let reading = std::thread::spawn(move || {
        let mut batcher = Batcher::new(10, batches);
        input::read_one(endless, 0, &mut batcher).unwrap();
    });
    for _ in 0..1_000 {
        assert_eq!(fed.blocking_recv().unwrap().places.len(), 10);
    }
    drop(fed);
    reading.join().unwrap();
    // No more was read than is examined first, and waits in buffers.
    assert!(*sent.lock().unwrap() < 13 * 10_000 + (3 << 20), "{sent:?}");
}

#[test]
fn an_element_that_no_body_can_hold_is_skipped_without_being_held() {
    let long = "x".repeat(3 << 20);
    let array = format!("[1,\"{long}\",{{\"a\":\"{long}\"}},2]");
    let found = events(array.as_bytes());
    let places = [0, 3, 1, 2].map(At::Index);
    let expected = ["1", "2", "too long", "too long"].map(str::to_owned);
    assert_eq!(found, expected.into_iter().zip(places).collect::<Vec<_>>());
}
