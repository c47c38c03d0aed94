//! Retention of the embedded store: removes events and rows that are older than a horizon.
//!
//! The facts of a session determine which rows it can have, so one walk over the facts finds every
//! row to remove. Replies never depend on the walk: reads filter by time themselves.

use std::{ops::Bound::Unbounded, sync::Arc};

use fjall::OwnedWriteBatch;

use super::{EmbeddedStore, Engine, Scan, keys, walk::Walk};
use crate::{
    event::Country,
    session::{SessionFacts, SessionKey},
    store::Result,
    timestamp::Timestamp,
};

/// Number of sessions that one step examines.
const STEP: usize = 2_000;

/// Number of removals per write. One session with many facts alone can have a thousand rows.
const ROWS: usize = 10_000;

impl EmbeddedStore {
    pub(in crate::store) async fn sweep(
        &self,
        horizon: Timestamp,
        after: Option<SessionKey>,
    ) -> Result<Option<SessionKey>> {
        self.blocking(move |engine| {
            // No check of free disk space: removing rows is what frees it.
            engine.check_usable()?;
            let caller = Arc::new(());
            let sessions = engine.sessions_after(&mut Scan::of(&caller), after.as_ref(), STEP)?;
            let more = sessions.len() == STEP;
            let last = sessions.last().map(|(key, _)| key.clone());
            let old = sessions.into_iter().filter(|(_, facts)| is_old(facts, horizon));
            let mut old = old.map(|(key, _)| key).peekable();
            if old.peek().is_some() {
                engine.remove(horizon, old)?;
            }
            if more {
                return Ok(last);
            }
            engine.remove_empty_countries()?;
            Ok(None)
        })
        .await
    }
}

impl Engine {
    fn remove(&self, horizon: Timestamp, keys: impl Iterator<Item = SessionKey>) -> Result<()> {
        let _writing = self.writing.lock();
        let mut batch = self.db.batch();
        for key in keys {
            let facts_key = keys::facts(&key);
            let mut facts = self.facts_at(&facts_key)?;
            self.remove_rows(&mut batch, &key, &facts, horizon);
            facts.forget_before(horizon);
            if facts.is_empty() {
                batch.remove(&self.facts, facts_key);
            } else {
                batch.insert(&self.facts, facts_key, keys::write_facts(&facts)?);
            }
            if batch.len() >= ROWS {
                self.commit(std::mem::replace(&mut batch, self.db.batch()))?;
            }
        }
        self.commit(batch)
    }

    /// Removes every row and marker that a start before `horizon` can have.
    fn remove_rows(
        &self,
        batch: &mut OwnedWriteBatch,
        key: &SessionKey,
        facts: &SessionFacts,
        horizon: Timestamp,
    ) {
        for start in facts.starts().iter().take_while(|start| start.ts < horizon) {
            for last in [keys::MARKER, keys::ROW] {
                batch.remove(&self.starts, keys::start(&key.started(start), last));
                for end in facts.ends().iter().filter(|end| **end >= start.ts) {
                    let row = key.completed(start, *end);
                    batch.remove(&self.completed, keys::completed(&row, last));
                }
            }
        }
    }

    /// Removes countries without a start, some at a time, so that writes do not wait for long.
    fn remove_empty_countries(&self) -> Result<()> {
        let mut after: Option<Country> = None;
        loop {
            let writing = self.writing.lock();
            let some = self.countries_after(after.as_ref()).take(STEP);
            let some = some.collect::<Result<Vec<_>>>()?;
            let mut batch = self.db.batch();
            let mut starts = Walk::to(Unbounded, &self.starts);
            for country in &some {
                if self.newest_start(&mut starts, country)?.is_none() {
                    batch.remove(&self.countries, country.as_str());
                    self.written.forget(country);
                }
            }
            self.commit(batch)?;
            drop(writing);
            match some.into_iter().nth(STEP - 1) {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }
}

fn is_old(facts: &SessionFacts, horizon: Timestamp) -> bool {
    facts.starts().first().is_some_and(|start| start.ts < horizon)
        || facts.ends().first().is_some_and(|end| *end < horizon)
}
