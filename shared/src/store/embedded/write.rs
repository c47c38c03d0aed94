//! Writes of the embedded store: facts and rows.

use std::{collections::HashSet, sync::Arc};

use super::{EmbeddedStore, Engine, corrupt, keys, read_error};
use crate::{
    event::Country,
    session::{Absorbed, SessionFacts},
    store::{Effect, Known, Result, Sighting},
    timestamp::{RETENTION, Timestamp},
};

impl EmbeddedStore {
    pub(in crate::store) async fn absorb(
        &self,
        sightings: Arc<Vec<Sighting>>,
    ) -> Result<Vec<Known>> {
        self.blocking(move |engine| {
            engine.check_writable()?;
            engine.wait_for_flush()?;
            let _writing = engine.writing.lock();
            let mut batch = engine.batch(sightings.len());
            let mut known = Vec::with_capacity(sightings.len());
            for Sighting { key, facts: offered } in sightings.iter() {
                let key = keys::facts(key);
                let mut facts = engine.facts_at(&key)?;
                let absorbed: Vec<_> = offered.iter().map(|fact| facts.absorb(fact)).collect();
                if absorbed.contains(&Absorbed::New) {
                    batch.insert(&engine.facts, key, keys::write_facts(&facts)?);
                }
                known.push(Known { facts, absorbed });
            }
            engine.commit(batch)?;
            Ok(known)
        })
        .await
    }

    pub(in crate::store) async fn apply(
        &self,
        effects: Arc<Vec<Effect>>,
        now: Timestamp,
    ) -> Result<()> {
        self.blocking(move |engine| {
            engine.check_writable()?;
            engine.wait_for_flush()?;
            let _writing = engine.writing.lock();
            let mut batch = engine.batch(effects.len());
            let mut new: HashSet<Country> = HashSet::new();
            for effect in effects.iter().filter(|effect| effect.started_at() >= now - RETENTION) {
                let (rows, key) = match effect {
                    Effect::RecordStart(row) => (&engine.starts, keys::start(row, keys::ROW)),
                    Effect::SupersedeStart(row) => (&engine.starts, keys::start(row, keys::MARKER)),
                    Effect::Complete(row) => (&engine.completed, keys::completed(row, keys::ROW)),
                    Effect::SupersedeCompleted(row) => {
                        (&engine.completed, keys::completed(row, keys::MARKER))
                    }
                };
                batch.insert(rows, key, []);
                if let Effect::RecordStart(row) | Effect::SupersedeStart(row) = effect
                    && engine.written.get(&row.country).is_none()
                    && new.insert(row.country.clone())
                {
                    batch.insert(&engine.countries, row.country.as_str(), []);
                }
            }
            engine.commit(batch)?;
            for country in &new {
                engine.written.update(country, |_| ());
            }
            Ok(())
        })
        .await
    }
}

impl Engine {
    fn batch(&self, rows: usize) -> fjall::OwnedWriteBatch {
        fjall::OwnedWriteBatch::with_capacity(self.db.clone(), rows)
    }

    pub(super) fn facts_at(&self, key: &[u8]) -> Result<SessionFacts> {
        match self.facts.get(key).map_err(read_error)? {
            Some(value) => keys::read_facts(&value).ok_or_else(|| corrupt(&self.facts, key)),
            None => Ok(SessionFacts::default()),
        }
    }
}
