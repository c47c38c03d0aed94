//! The starts of many countries: lists, pages and counts. Clients can make up any number of
//! countries, so they are never all in memory.

mod chunk;
mod counts;
mod json;
mod page;
mod pieces;

pub(crate) use self::{
    chunk::{Chunk, ChunkError},
    counts::counts,
    json::{Slot, WriteNumbers, counted, top, uncut, write_slots, write_total},
    page::{Page, page},
    pieces::{countries, pieces},
};

#[cfg(test)]
mod tests;
