//! The starts of many countries: lists, pages and counts. Clients can make up any number of
//! countries, so they are never all in memory.

mod chunk;
mod counts;
mod json;
mod page;
mod pieces;

pub(crate) use self::{
    chunk::{Chunk, ChunkError},
    counts::{counts, top},
    json::{Slot, WriteNumbers, counted, uncut, write_slots, write_total},
    page::{Page, page},
    pieces::{UNCUT_PIECE, countries, pieces},
};

#[cfg(test)]
mod tests;
