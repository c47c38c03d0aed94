//! Pieces, pages and counts of starts.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use shared::{
    event::{Country, SessionId, UserId},
    session::SessionStart,
    store::StoreError,
    timestamp::Timestamp,
};

use super::{
    counts::Slots,
    json::CHUNK,
    pieces::{PIECE, Piece},
    *,
};

fn piece(country: &str, size: usize) -> Piece {
    let country = Country::normalise(country);
    let start = |n: usize| SessionStart {
        user: UserId::new("u").unwrap(),
        session: SessionId::new(&format!("s{n}")).unwrap(),
        country: country.clone(),
        ts: Timestamp::default(),
    };
    Piece { starts: (0..size).map(start).collect(), country }
}

async fn text(pieces: Vec<Piece>) -> String {
    let chunks: Vec<_> =
        uncut(stream::iter(pieces.into_iter().map(Ok))).try_collect().await.unwrap();
    let bytes: Vec<_> = chunks.iter().flat_map(|chunk: &Chunk| chunk.bytes.to_vec()).collect();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_pieces_of_a_country_are_one_array() {
    let start = |n| format!(r#"{{"user_id":"u","session_id":"s{n}","ts":"1970-01-01T00:00:00Z"}}"#);
    let (first, second) = (start(0), start(1));
    let pieces =
        vec![piece("DE", 0), piece("FR", 2), piece("FR", 1), piece("SK", 1), piece("SK", 0)];
    let expected = format!(r#"{{"DE":[],"FR":[{first},{second},{first}],"SK":[{first}]}}"#);
    assert_eq!(text(pieces).await, expected);
    assert_eq!(text(Vec::new()).await, "{}");
}

#[tokio::test]
async fn nothing_is_read_that_the_client_does_not_take() {
    let read = AtomicUsize::new(0);
    let pieces = stream::iter(0..1_000).map(|_| {
        read.fetch_add(1, Ordering::Relaxed);
        Ok(piece("SK", PIECE))
    });
    let mut chunks = pin!(uncut(pieces));
    assert_eq!(read.load(Ordering::Relaxed), 0);
    for taken in 1..=20 {
        let chunk = chunks.next().await.unwrap().unwrap();
        assert!((CHUNK..CHUNK + 1_000).contains(&chunk.bytes.len()), "{}", chunk.bytes.len());
        assert!(read.load(Ordering::Relaxed) <= taken + 1);
    }
}

#[tokio::test]
async fn a_failure_is_passed_on_in_the_place_of_the_end() {
    let failure = Err(StoreError::Unavailable(String::new()));
    let chunks: Vec<_> = uncut(stream::iter([Ok(piece("SK", 1_000)), failure])).collect().await;
    let [first, last] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(first.is_ok() && last.is_err());
}

type Counted = Result<(Country, Slots), StoreError>;

/// A country with so many starts in each of some seconds.
fn of(country: &str, starts: &[u64]) -> Counted {
    let slots = (0..).zip(starts).map(|(second, starts)| (at(second), *starts));
    Ok((Country::normalise(country), slots.collect()))
}

fn at(second: i64) -> Timestamp {
    Timestamp::default() + 1_000 * second
}

const HEAD: &str = r#"{"of":{"#;

/// The chunks of a reply, and its number of rows.
fn read(chunks: impl Stream<Item = Result<Chunk, ChunkError>>) -> (Vec<String>, usize) {
    let chunks: Vec<_> = chunks.try_collect().now_or_never().unwrap().unwrap();
    let rows = chunks.iter().map(|chunk: &Chunk| chunk.rows).sum();
    let text = |chunk: &Chunk| String::from_utf8(chunk.bytes.to_vec()).unwrap();
    (chunks.iter().map(text).collect(), rows)
}

fn written(counts: Vec<Counted>, write: WriteNumbers, most: usize) -> (Vec<String>, usize) {
    let next = |last: Country| Ok(format!("after {last}"));
    read(counted(HEAD.to_owned(), stream::iter(counts), write, most, next))
}

#[test]
fn a_series_is_written_with_its_head_and_begins_with_its_first_country() {
    let counts = || vec![of("DE", &[]), of("SK", &[2, 1])];
    let slots =
        r#"[{"ts":"1970-01-01T00:00:00Z","starts":2},{"ts":"1970-01-01T00:00:01Z","starts":1}]"#;
    let [first, rest] =
        [r#"{"of":{"DE":[]"#.to_owned(), format!(r#","SK":{slots}}},"next":null}}"#)];
    assert_eq!(written(counts(), write_slots, 2), (vec![first, rest], 2));
    let totals = r#"{"of":{"DE":0,"SK":3},"next":null}"#;
    assert_eq!(written(counts(), write_total, 2).0.concat(), totals);
    assert_eq!(written(Vec::new(), write_total, 2).0.concat(), r#"{"of":{},"next":null}"#);
}

#[test]
fn a_reply_with_counts_ends_after_the_largest_number_of_countries() {
    let counts = || ["AT", "DE", "SK"].map(|country| of(country, &[1])).into();
    let (text, _) = written(counts(), write_total, 2);
    assert_eq!(text.concat(), r#"{"of":{"AT":1,"DE":1},"next":"after DE"}"#);
    let (text, _) = written(counts(), write_total, 3);
    assert_eq!(text.concat(), r#"{"of":{"AT":1,"DE":1,"SK":1},"next":null}"#);
}

#[test]
fn the_countries_with_the_most_starts_are_kept_and_the_others_are_summed_up() {
    let all = [("AT", [1, 2]), ("BE", [9, 0]), ("CZ", [0, 3]), ("DE", [0, 0]), ("SK", [3, 4])];
    let largest = |most, write| {
        let counts = stream::iter(all.map(|(country, starts)| of(country, &starts)));
        let (chunks, _) = read(top(HEAD.to_owned(), counts, write, most));
        assert_eq!(chunks[0], HEAD, "the reply begins when one country is counted");
        chunks.concat()
    };
    let slots =
        r#"[{"ts":"1970-01-01T00:00:00Z","starts":4},{"ts":"1970-01-01T00:00:01Z","starts":9}]"#;
    let one = r#"{"of":{"BE":[{"ts":"1970-01-01T00:00:00Z","starts":9},{"ts":"1970-01-01T00:00:01Z","starts":0}]}"#;
    assert_eq!(largest(1, write_slots), format!(r#"{one},"others":{slots},"next":null}}"#));
    // Of two with three starts, the first by name.
    let three = r#"{"of":{"AT":3,"BE":9,"SK":7},"others":3,"next":null}"#;
    assert_eq!(largest(3, write_total), three);
    let all = r#"{"of":{"AT":3,"BE":9,"CZ":3,"DE":0,"SK":7},"others":0,"next":null}"#;
    assert_eq!(largest(9, write_total), all);
}
