//! Pieces, pages and counts of starts.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
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

/// The text for these counts, and its number of rows.
fn written(
    counts: Vec<Counted>,
    write: WriteNumbers,
    others: Option<Slots>,
    most: usize,
) -> (String, usize) {
    let next = |last: Country| Ok(format!("after {last}"));
    let chunks = counted(r#"{"of":{"#.to_owned(), stream::iter(counts), write, others, most, next);
    let chunks: Vec<_> = chunks.try_collect().now_or_never().unwrap().unwrap();
    let [Chunk { bytes, rows }] = &chunks[..] else { panic!("{chunks:?}") };
    (String::from_utf8(bytes.to_vec()).unwrap(), *rows)
}

#[test]
fn a_series_is_written_with_its_head() {
    let counts = || vec![of("DE", &[]), of("SK", &[2, 1])];
    let slots =
        r#"[{"ts":"1970-01-01T00:00:00Z","starts":2},{"ts":"1970-01-01T00:00:01Z","starts":1}]"#;
    let expected = format!(r#"{{"of":{{"DE":[],"SK":{slots}}},"next":null}}"#);
    assert_eq!(written(counts(), write_slots, None, 2), (expected, 2));
    let (_, others) = of("", &[2, 1]).unwrap();
    let expected = format!(r#"{{"of":{{}},"others":{slots},"next":null}}"#);
    assert_eq!(written(Vec::new(), write_slots, Some(others), 2).0, expected);
    let totals = r#"{"of":{"DE":0,"SK":3},"others":0,"next":null}"#;
    assert_eq!(written(counts(), write_total, Some(Slots::new()), 2).0, totals);
}

#[test]
fn a_reply_with_counts_ends_after_the_largest_number_of_countries() {
    let counts = || ["AT", "DE", "SK"].map(|country| of(country, &[1])).into();
    let (text, _) = written(counts(), write_total, None, 2);
    assert_eq!(text, r#"{"of":{"AT":1,"DE":1},"next":"after DE"}"#);
    let (text, _) = written(counts(), write_total, None, 3);
    assert_eq!(text, r#"{"of":{"AT":1,"DE":1,"SK":1},"next":null}"#);
}

#[test]
fn the_countries_with_the_most_starts_are_kept_and_the_others_are_summed_up() {
    let all = [("AT", [1, 2]), ("BE", [9, 0]), ("CZ", [0, 3]), ("DE", [0, 0]), ("SK", [3, 4])];
    let largest = |most| {
        let counts = stream::iter(all.map(|(country, starts)| of(country, &starts)));
        let (largest, others) = top(counts, most).now_or_never().unwrap().unwrap();
        let names = largest.iter().map(|(country, _)| country.to_string()).collect::<Vec<_>>();
        (names.join(" "), [at(0), at(1)].map(|slot| others.get(&slot).copied().unwrap_or(0)))
    };
    assert_eq!(largest(1), ("BE".to_owned(), [4, 9]));
    // Of two with three starts, the first by name.
    assert_eq!(largest(3), ("AT BE SK".to_owned(), [0, 3]));
    assert_eq!(largest(9), ("AT BE CZ DE SK".to_owned(), [0, 0]));
}
