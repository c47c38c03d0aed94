//! The starts of many countries: reads them in bounded pieces, a few countries ahead, in the order
//! of the countries.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use shared::{
    event::Country,
    session::SessionStart,
    store::{StartPosition, Store, StoreError, Window},
    timestamp::Timestamp,
};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{cursor::StartsCursor, error::QueryError};

/// The number of countries that are read at a time.
const AHEAD: usize = 4;
/// The largest number of starts that are read at a time.
const PIECE: usize = 512;
/// The size at which a chunk of a streamed reply is sent, in bytes.
const CHUNK: usize = 32 << 10;

/// Some starts of one country. Every country has at least one piece, which may be empty.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) country: Country,
    pub(crate) starts: Vec<SessionStart>,
}

/// One page of starts.
#[derive(Debug)]
pub(crate) struct Page {
    /// The countries that have a start on this page.
    pub(crate) countries: BTreeMap<Country, Vec<SessionStart>>,
    pub(crate) next: Option<StartsCursor>,
}

/// The number of starts of a country in each slot of time, by the beginning of the slot.
pub(crate) type Counted = (Country, BTreeMap<Timestamp, u64>);

/// The number of starts in one slot of time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Slot {
    /// The beginning of the slot: a whole minute, hour or day in UTC.
    ts: Timestamp,
    /// The number of starts, which is never 0: empty slots are omitted.
    #[schema(minimum = 1)]
    starts: u64,
}

/// A part of a streamed reply.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The number of rows in the chunk.
    pub(crate) rows: usize,
}

/// The reason why a streamed reply cannot be continued.
#[derive(Debug, Error)]
pub(crate) enum ChunkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the store made no progress for {0:?}")]
    Stalled(Duration),
}

impl From<ChunkError> for QueryError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Store(error) => error.into(),
            ChunkError::Json(error) => Self::Unwritable(error),
            ChunkError::Stalled(limit) => Self::Slow(limit),
        }
    }
}

/// Reads the starts of `countries` in `window`, in pieces of at most `size`. The instant of a
/// country is an upper bound on its newest start. The first country may begin after the start
/// `first`.
pub(crate) fn pieces(
    store: Store,
    countries: BTreeMap<Country, Timestamp>,
    window: Window,
    first: Option<StartPosition>,
    size: usize,
) -> impl Stream<Item = Result<Piece, StoreError>> + Send {
    try_stream! {
        let afters = std::iter::once(first).chain(std::iter::repeat(None));
        let mut ahead = stream::iter(countries.into_iter().zip(afters))
            .map(|((country, newest), after)| {
                let store = store.clone();
                async move {
                    let starts = if newest < window.from {
                        Vec::new()
                    } else {
                        store.starts(&country, window, after, size).await?
                    };
                    Ok::<_, StoreError>(Piece { country, starts })
                }
            })
            .buffered(AHEAD);
        while let Some(piece) = ahead.next().await {
            let Piece { country, mut starts } = piece?;
            loop {
                let after = if starts.len() < size { None } else { starts.last().map(position) };
                yield Piece { country: country.clone(), starts };
                if after.is_none() {
                    break;
                }
                starts = store.starts(&country, window, after, size).await?;
            }
        }
    }
}

/// Reads at most `limit` starts in `window`; the cursor of the next page contains the window
/// `asked`.
pub(crate) async fn page(
    store: Store,
    countries: BTreeMap<Country, Timestamp>,
    (asked, window): (Window, Window),
    first: Option<StartPosition>,
    limit: usize,
) -> Result<Page, StoreError> {
    // One start more than the limit shows that there is a next page.
    let size = PIECE.min(limit + 1);
    let mut pieces = pin!(pieces(store, countries, window, first, size));
    let mut page = Page { countries: BTreeMap::new(), next: None };
    let (mut room, mut last) = (limit, None);
    while let Some(Piece { country, mut starts }) = pieces.next().await.transpose()? {
        let cut = starts.len() > room;
        starts.truncate(room);
        room -= starts.len();
        last = starts.last().cloned().or(last);
        if !starts.is_empty() {
            page.countries.entry(country).or_default().append(&mut starts);
        }
        if cut {
            page.next = last.map(|last| StartsCursor::after(asked, &last));
            break;
        }
    }
    Ok(page)
}

/// Counts the starts of each of `countries` in each slot of `step` milliseconds of `window`, in the
/// order of the countries.
pub(crate) fn counts(
    store: Store,
    countries: BTreeMap<Country, Timestamp>,
    window: Window,
    step: i64,
) -> impl Stream<Item = Result<Counted, StoreError>> + Send {
    stream::iter(countries)
        .map(move |(country, newest)| {
            let store = store.clone();
            async move {
                let slots = if newest < window.from {
                    BTreeMap::new()
                } else {
                    store.count_starts(&country, window, step).await?
                };
                Ok((country, slots))
            }
        })
        .buffered(AHEAD)
}

/// Writes `{"SK":[start…],"DE":[]}` from pieces, with at most one piece and one chunk in memory.
pub(crate) fn uncut(
    pieces: impl Stream<Item = Result<Piece, StoreError>> + Send,
) -> impl Stream<Item = Result<Chunk, ChunkError>> + Send {
    try_stream! {
        let mut pieces = pin!(pieces);
        let mut writer = Writer::default();
        writer.raw("{");
        let mut current: Option<Country> = None;
        while let Some(Piece { country, starts }) = pieces.next().await.transpose()? {
            let mut separator = ",";
            if current.as_ref() != Some(&country) {
                if current.is_some() {
                    writer.raw("],");
                }
                writer.json(&country)?;
                writer.raw(":[");
                separator = "";
                current = Some(country);
            }
            for start in &starts {
                writer.raw(separator);
                writer.row(start)?;
                separator = ",";
                if writer.is_full() {
                    yield writer.take();
                }
            }
        }
        writer.raw(if current.is_some() { "]}" } else { "}" });
        yield writer.take();
    }
}

/// Writes `head`, which ends with an open object, then `"SK":[{"ts","starts"}…]` for each country,
/// and closes both objects.
pub(crate) fn series(
    head: String,
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
) -> impl Stream<Item = Result<Chunk, ChunkError>> + Send {
    try_stream! {
        let mut counts = pin!(counts);
        let mut writer = Writer::default();
        writer.raw(&head);
        let mut comma = "";
        while let Some((country, slots)) = counts.next().await.transpose()? {
            writer.raw(comma);
            comma = ",";
            writer.json(&country)?;
            writer.raw(":[");
            let mut separator = "";
            for (ts, starts) in slots {
                writer.raw(separator);
                writer.row(&Slot { ts, starts })?;
                separator = ",";
            }
            writer.raw("]");
            if writer.is_full() {
                yield writer.take();
            }
        }
        writer.raw("}}");
        yield writer.take();
    }
}

/// Sums the slots of each country.
pub(crate) async fn totals(
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
) -> Result<BTreeMap<Country, u64>, StoreError> {
    counts.map_ok(|(country, slots)| (country, slots.values().sum())).try_collect().await
}

/// The size of the pieces of a streamed reply.
pub(crate) const UNCUT_PIECE: usize = PIECE;

fn position(start: &SessionStart) -> StartPosition {
    StartPosition { ts: start.ts, session: start.session.clone(), user: start.user.clone() }
}

/// Collects JSON until there is enough for a chunk.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    rows: usize,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &impl Serialize) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.bytes, value)
    }

    fn row(&mut self, value: &impl Serialize) -> serde_json::Result<()> {
        self.rows += 1;
        self.json(value)
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK
    }

    fn take(&mut self) -> Chunk {
        let Self { bytes, rows } = std::mem::take(self);
        Chunk { bytes: bytes.into(), rows }
    }
}

#[cfg(test)]
mod tests;
