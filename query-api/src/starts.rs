//! The starts of many countries: read in bounded pieces, a few countries ahead, in the order of the countries.

use std::{collections::BTreeMap, pin::pin};

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
use utoipa::ToSchema;

use crate::cursor::StartsCursor;

/// How many countries are read at a time.
const AHEAD: usize = 4;
/// The most starts that are read at a time.
const PIECE: usize = 512;
/// A chunk of a streamed reply is sent once it is this long, in bytes.
const CHUNK: usize = 32 << 10;

/// Some starts of one country. A country has one piece at least, though it may be empty.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) country: Country,
    pub(crate) starts: Vec<SessionStart>,
}

/// The starts of a reply that is bounded by a limit.
#[derive(Debug)]
pub(crate) struct Page {
    /// Every country that was to be named or has a start here.
    pub(crate) countries: BTreeMap<Country, Vec<SessionStart>>,
    pub(crate) next: Option<StartsCursor>,
}

/// How many starts each country has in each slot of time, by the slot's beginning.
pub(crate) type Counted = (Country, BTreeMap<Timestamp, u64>);

/// How many starts there were in a slot of time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Slot {
    /// When the slot begins: a whole UTC minute, hour or day.
    ts: Timestamp,
    /// Never 0: empty slots are left out.
    #[schema(minimum = 1)]
    starts: u64,
}

/// A part of a streamed reply.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// How many rows it holds.
    pub(crate) rows: usize,
}

/// The starts of `countries`, which have none behind their instant, in `window`: a piece of at most `size` after another. The
/// first country may begin behind a start.
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

/// At most `limit` starts; `window` is what is read, `asked` what the cursor of the next page shall repeat.
pub(crate) async fn page(
    store: Store,
    countries: BTreeMap<Country, Timestamp>,
    (asked, window): (Window, Window),
    first: Option<StartPosition>,
    limit: usize,
) -> Result<Page, StoreError> {
    // One more than the limit tells whether there is a next page.
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
            page.next = last.map(|last| StartsCursor::behind(asked, &last));
            break;
        }
    }
    Ok(page)
}

/// How many starts of each of `countries` lie in each slot of `step` milliseconds of `window`, in their order.
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

/// Writes `{"SK":[start…],"DE":[]}` from pieces, with no more in memory than a piece and a chunk.
pub(crate) fn uncut(
    pieces: impl Stream<Item = Result<Piece, StoreError>> + Send,
) -> impl Stream<Item = Result<Chunk, StoreError>> + Send {
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
                writer.json(&country);
                writer.raw(":[");
                separator = "";
                current = Some(country);
            }
            for start in &starts {
                writer.raw(separator);
                writer.row(start);
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

/// Writes `head`, which ends with an opened object, then `"SK":[{"ts","starts"}…]` for each country, and closes both objects.
pub(crate) fn series(
    head: String,
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
) -> impl Stream<Item = Result<Chunk, StoreError>> + Send {
    try_stream! {
        let mut counts = pin!(counts);
        let mut writer = Writer::default();
        writer.raw(&head);
        let mut comma = "";
        while let Some((country, slots)) = counts.next().await.transpose()? {
            writer.raw(comma);
            comma = ",";
            writer.json(&country);
            writer.raw(":[");
            let mut separator = "";
            for (ts, starts) in slots {
                writer.raw(separator);
                writer.row(&Slot { ts, starts });
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

/// The numbers alone: all slots of a country together.
pub(crate) async fn totals(
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
) -> Result<BTreeMap<Country, u64>, StoreError> {
    counts.map_ok(|(country, slots)| (country, slots.values().sum())).try_collect().await
}

/// The size of the pieces of a reply that is not cut.
pub(crate) const UNCUT_PIECE: usize = PIECE;

fn position(start: &SessionStart) -> StartPosition {
    StartPosition { ts: start.ts, session: start.session.clone(), user: start.user.clone() }
}

/// Gathers JSON until it is worth sending.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    rows: usize,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &impl Serialize) {
        // Writing texts and numbers into memory cannot fail.
        serde_json::to_writer(&mut self.bytes, value).unwrap_or_default();
    }

    fn row(&mut self, value: &impl Serialize) {
        self.json(value);
        self.rows += 1;
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
