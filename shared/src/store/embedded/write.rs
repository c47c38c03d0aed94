//! Adding facts and rows.

use fjall::OwnedWriteBatch;

use super::{Engine, corrupt, keys, lock, unread};
use crate::{
    event::Country,
    session::{Absorbed, SessionFacts, SessionKey},
    store::{Effect, Known, Sighting, StoreError},
    timestamp::Timestamp,
};

impl Engine {
    pub(super) fn absorb(&self, sightings: &[Sighting]) -> Result<Vec<Known>, StoreError> {
        self.ready()?;
        self.room()?;
        let _writing = lock(&self.writing);
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), sightings.len());
        let mut known = Vec::with_capacity(sightings.len());
        for Sighting { key, facts: offered } in sightings {
            let key = keys::facts(key);
            let mut facts = self.facts_at(&key)?;
            let absorbed: Vec<_> = offered.iter().map(|fact| facts.absorb(fact)).collect();
            if absorbed.contains(&Absorbed::New) {
                batch.insert(&self.facts, key, keys::write_facts(&facts));
            }
            known.push(Known { facts, absorbed });
        }
        batch.commit().map_err(|error| self.fail(&error))?;
        Ok(known)
    }

    pub(super) fn apply(&self, effects: &[Effect], horizon: Timestamp) -> Result<(), StoreError> {
        self.ready()?;
        self.room()?;
        let mut countries = lock(&self.writing);
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), effects.len());
        let mut new: Vec<Country> = Vec::new();
        for effect in effects.iter().filter(|effect| effect.started_at() >= horizon) {
            match effect {
                Effect::RecordStart(row) => {
                    batch.insert(&self.starts, keys::start(row, keys::ROW), [])
                }
                Effect::SupersedeStart(row) => {
                    batch.insert(&self.starts, keys::start(row, keys::MARKER), [])
                }
                Effect::Complete(row) => {
                    batch.insert(&self.completed, keys::completed(row, keys::ROW), [])
                }
                Effect::SupersedeCompleted(row) => {
                    batch.insert(&self.completed, keys::completed(row, keys::MARKER), []);
                }
            }
            if let Effect::RecordStart(row) | Effect::SupersedeStart(row) = effect
                && !countries.contains(&row.country)
                && !new.contains(&row.country)
            {
                batch.insert(&self.countries, row.country.as_str(), []);
                new.push(row.country.clone());
            }
        }
        batch.commit().map_err(|error| self.fail(&error))?;
        countries.extend(new);
        Ok(())
    }

    pub(super) fn facts(&self, key: &SessionKey) -> Result<SessionFacts, StoreError> {
        self.facts_at(&keys::facts(key))
    }

    pub(super) fn facts_at(&self, key: &[u8]) -> Result<SessionFacts, StoreError> {
        match self.facts.get(key).map_err(unread)? {
            Some(value) => keys::read_facts(&value).ok_or_else(|| corrupt(&self.facts, key)),
            None => Ok(SessionFacts::default()),
        }
    }
}
