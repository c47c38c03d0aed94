//! The checkpoint of the embedded store. It is written to the same journal as the rows and after
//! them, so a store that has it has the rows of every record before it.
//!
//! Its keyspace is created with the first checkpoint: a command that only reads creates none.

use std::collections::BTreeMap;

use super::{EmbeddedStore, Engine, corrupt, ranges, read_error};
use crate::store::{Checkpoint, Holds, LogId, Result};

const KEYSPACE: &str = "checkpoint";
/// The only key.
const KEY: &str = "log";
/// The memory for a row that is not yet sorted to disk, in bytes.
const BUFFER: u64 = 1 << 20;

impl EmbeddedStore {
    /// How much of its log the store holds.
    pub async fn holds(&self) -> Result<Holds> {
        self.blocking(|engine| match engine.held.lock().clone() {
            Some(checkpoint) => Ok(Holds::To(checkpoint)),
            None if engine.facts.is_empty().map_err(read_error)? => Ok(Holds::Nothing),
            None => Ok(Holds::Unknown),
        })
        .await
    }

    /// Replaces the checkpoint, durably.
    pub async fn set_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        self.blocking(move |engine| {
            engine.check_usable()?;
            let mut held = engine.held.lock();
            engine.write_checkpoint(&checkpoint)?;
            *held = Some(checkpoint);
            engine.persist()
        })
        .await
    }

    /// Moves the checkpoint of `log` to `offsets`, and persists it with every row written before.
    /// A store without a checkpoint of this log gets none.
    pub(in crate::store) async fn persist_to(
        &self,
        log: LogId,
        offsets: BTreeMap<i32, i64>,
    ) -> Result<()> {
        self.blocking(move |engine| {
            engine.check_usable()?;
            if let Some(held) = engine.held.lock().as_mut().filter(|held| held.log == log) {
                held.offsets.extend(offsets);
                engine.write_checkpoint(held)?;
            }
            engine.persist()
        })
        .await
    }
}

impl Engine {
    /// Reads the checkpoint at the start.
    pub(super) fn read_checkpoint(&self) -> Result<Option<Checkpoint>> {
        if !self.db.keyspace_exists(KEYSPACE) {
            return Ok(None);
        }
        let rows = self.db.keyspace(KEYSPACE, || ranges(BUFFER)).map_err(read_error)?;
        let Some(row) = rows.get(KEY).map_err(read_error)? else { return Ok(None) };
        decode(&row).map(Some).ok_or_else(|| corrupt(&rows, KEY.as_bytes()))
    }

    fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        let rows = self.db.keyspace(KEYSPACE, || ranges(BUFFER));
        let rows = rows.map_err(|error| self.fail(&error))?;
        let mut batch = self.db.batch();
        batch.insert(&rows, KEY, encode(checkpoint));
        self.commit(batch)
    }
}

/// The identity, then for each partition its number and its offset.
fn encode(Checkpoint { log, offsets }: &Checkpoint) -> Vec<u8> {
    let mut row = log.0.to_vec();
    for (partition, offset) in offsets {
        row.extend(partition.to_be_bytes());
        row.extend(offset.to_be_bytes());
    }
    row
}

fn decode(row: &[u8]) -> Option<Checkpoint> {
    let (log, rest) = row.split_first_chunk()?;
    let (offsets, []) = rest.as_chunks::<12>() else { return None };
    let offset = |row: &[u8; 12]| {
        let (partition, offset) = row.split_first_chunk()?;
        Some((i32::from_be_bytes(*partition), i64::from_be_bytes(offset.try_into().ok()?)))
    };
    let offsets = offsets.iter().map(offset).collect::<Option<_>>()?;
    Some(Checkpoint { log: LogId(*log), offsets })
}
