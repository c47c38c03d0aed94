//! Replies as JSON that is written while it is sent, with one chunk in memory.

use std::pin::pin;

use async_stream::try_stream;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use shared::{event::Country, store::StoreError, timestamp::Timestamp};
use utoipa::ToSchema;

use super::{
    chunk::{Chunk, ChunkError},
    counts::{Counted, Slots, Top},
    pieces::Piece,
};

/// The size at which a chunk of a streamed reply is sent, in bytes.
pub(super) const CHUNK: usize = 32 << 10;

/// The number of starts in one slot of time.
#[derive(Serialize, ToSchema)]
#[schema(as = SeriesPoint)]
pub(crate) struct Slot {
    /// The beginning of the slot: a whole minute, hour or day in UTC.
    ts: Timestamp,
    /// The number of starts, which is never 0: empty slots are omitted.
    #[schema(minimum = 1)]
    starts: u64,
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

/// How the numbers of a country are written.
pub(crate) type WriteNumbers = fn(&mut Writer, &Slots) -> serde_json::Result<()>;

/// Writes `head`, which ends with an open object, then the numbers of each country by `write`, and
/// the cursor that `next` makes of the last one of `most` countries if there are more.
///
/// The first chunk ends after the first country: the reply has begun, although the next countries
/// may take long.
pub(crate) fn counted(
    head: String,
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
    write: WriteNumbers,
    most: usize,
    next: impl Fn(Country) -> serde_json::Result<String> + Send,
) -> impl Stream<Item = Result<Chunk, ChunkError>> + Send {
    try_stream! {
        let mut counts = pin!(counts);
        let mut writer = Writer::default();
        writer.raw(&head);
        let (mut written, mut last, mut cut) = (0, None, false);
        while let Some((country, slots)) = counts.next().await.transpose()? {
            cut = written == most;
            if cut {
                break;
            }
            writer.entry(written == 0, &country, &slots, write)?;
            if written == 0 || writer.is_full() {
                yield writer.take();
            }
            (written, last) = (written + 1, Some(country));
        }
        writer.raw(r#"},"next":"#);
        writer.json(&last.filter(|_| cut).map(next).transpose()?)?;
        writer.raw("}");
        yield writer.take();
    }
}

/// Writes `head`, which ends with an open object, then by `write` the numbers of the `most`
/// countries with the most starts, in the order of their names, and those of all others together.
///
/// The first chunk is the head alone, after the first country is counted.
pub(crate) fn top(
    head: String,
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
    write: WriteNumbers,
    most: usize,
) -> impl Stream<Item = Result<Chunk, ChunkError>> + Send {
    try_stream! {
        let mut counts = pin!(counts);
        let mut writer = Writer::default();
        writer.raw(&head);
        let (mut top, mut is_first) = (Top::of(most), true);
        while let Some((country, slots)) = counts.next().await.transpose()? {
            top.add(country, slots);
            if is_first {
                is_first = false;
                yield writer.take();
            }
        }
        let (largest, others) = top.finish();
        let mut is_first = true;
        for (country, slots) in largest {
            writer.entry(is_first, &country, &slots, write)?;
            is_first = false;
        }
        writer.raw(r#"},"others":"#);
        write(&mut writer, &others)?;
        writer.raw(r#","next":null}"#);
        yield writer.take();
    }
}

/// Writes the sum of the slots.
pub(crate) fn write_total(writer: &mut Writer, slots: &Slots) -> serde_json::Result<()> {
    writer.row(&slots.values().sum::<u64>())
}

/// Writes `[{"ts","starts"}…]`.
pub(crate) fn write_slots(writer: &mut Writer, slots: &Slots) -> serde_json::Result<()> {
    let mut separator = "[";
    for (ts, starts) in slots {
        writer.raw(separator);
        writer.row(&Slot { ts: *ts, starts: *starts })?;
        separator = ",";
    }
    writer.raw(if separator == "[" { "[]" } else { "]" });
    Ok(())
}

/// Collects JSON until there is enough for a chunk.
#[derive(Default)]
pub(crate) struct Writer {
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

    /// Writes the numbers of a country.
    fn entry(
        &mut self,
        is_first: bool,
        country: &Country,
        slots: &Slots,
        write: WriteNumbers,
    ) -> serde_json::Result<()> {
        self.raw(if is_first { "" } else { "," });
        self.json(country)?;
        self.raw(":");
        write(self, slots)
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK
    }

    fn take(&mut self) -> Chunk {
        let Self { bytes, rows } = std::mem::take(self);
        Chunk { bytes: bytes.into(), rows }
    }
}
