//! Holds writers back while too many rows are only in memory.
//!
//! The engine has one worker, which flushes and merges in turn. So nothing is flushed during a long
//! merge, and a memtable that is full is replaced only after it. The engine's own limits count
//! replaced memtables, so without this wait the one in use would grow without a limit, on a slow
//! disk too. A second worker would not help: it asks for merges in a loop while the other one
//! merges.

use std::{thread, time::Duration};

use fjall::PersistMode;

use super::Engine;
use crate::store::Result;

/// The interval between two looks at the engine.
const PAUSE: Duration = Duration::from_millis(5);

impl Engine {
    /// Waits while the worker is busy and more than twice the buffer is not flushed. Blocks.
    ///
    /// # Errors
    /// The engine has failed, so nothing will be flushed any more.
    pub(super) fn wait_for_flush(&self) -> Result<()> {
        while self.db.write_buffer_size() > self.most_unflushed && self.is_flushing() {
            // This fails once the worker has.
            self.db.persist(PersistMode::Buffer).map_err(|error| self.fail(&error))?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Whether the worker has something to do. The engine's count of bytes can be too high after a
    /// race within it, so the count alone does not hold writers back.
    fn is_flushing(&self) -> bool {
        self.db.outstanding_flushes() > 0 || self.db.active_compactions() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EmbeddedStore, EmbeddedStoreOptions};
    use crate::{
        event::{SessionId, UserId},
        session::{Fact, SessionKey},
        store::Sighting,
        timestamp::Timestamp,
    };

    const BUFFER: u64 = 1 << 20;
    const SESSIONS: usize = 5_000;

    /// Long ids, so that the worker is slower than the writer.
    fn sightings(batch: usize) -> Vec<Sighting> {
        let sighting = |number: usize| {
            let id = format!("{:0>128}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let key = SessionKey {
                user: UserId::new(&id).unwrap(),
                session: SessionId::new(&id).unwrap(),
            };
            Sighting { key, facts: vec![Fact::End(Timestamp::default())] }
        };
        (batch * SESSIONS..(batch + 1) * SESSIONS).map(sighting).collect()
    }

    #[tokio::test]
    async fn writers_wait_until_the_rows_before_are_flushed() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedStoreOptions {
            write_buffer_bytes: BUFFER,
            reserve_bytes: 0,
            ..EmbeddedStoreOptions::default()
        };
        let store = EmbeddedStore::open(dir.path(), options).unwrap();
        let mut most = 0;
        for batch in 0..40 {
            store.absorb(sightings(batch).into()).await.unwrap();
            most = most.max(store.0.db.write_buffer_size());
        }
        // Each batch has 1.9 MB.
        assert!(most < 8 * BUFFER, "{most} bytes are not flushed");
    }
}
