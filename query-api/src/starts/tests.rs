//! Pieces, pages and counts of starts.

use std::sync::atomic::{AtomicUsize, Ordering};

use shared::event::{SessionId, UserId};

use super::*;

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

#[test]
fn a_series_is_written_with_its_head() {
    let slots = BTreeMap::from([(Timestamp::default(), 2), (Timestamp::default() + 1_000, 1)]);
    let counts =
        [Ok((Country::normalise("DE"), BTreeMap::new())), Ok((Country::normalise("SK"), slots))];
    let chunks = series(r#"{"series":{"#.to_owned(), stream::iter(counts));
    let chunks: Vec<_> =
        futures_util::FutureExt::now_or_never(chunks.try_collect()).unwrap().unwrap();
    let [Chunk { bytes, rows: 2 }] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(
        bytes,
        r#"{"series":{"DE":[],"SK":[{"ts":"1970-01-01T00:00:00Z","starts":2},{"ts":"1970-01-01T00:00:01Z","starts":1}]}}"#
    );
}
