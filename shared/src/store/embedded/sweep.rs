//! Retention: what happened more than a year ago leaves the store.
//!
//! The facts say which rows can exist, so one walk over the facts finds every row that has to go. Answers do not wait for
//! it: a read leaves out what is too old whether or not it was swept.

use fjall::OwnedWriteBatch;

use super::{Engine, keys, lock};
use crate::{
    session::{SessionFacts, SessionKey},
    store::StoreError,
    timestamp::Timestamp,
};

/// How many sessions one step looks at.
const STEP: usize = 2_000;

/// After how many rows a step writes what it has to remove: a session of many facts has a thousand pairs.
const ROWS: usize = 10_000;

impl Engine {
    pub(super) fn sweep(
        &self,
        horizon: Timestamp,
        after: Option<&SessionKey>,
    ) -> Result<Option<SessionKey>, StoreError> {
        self.ready()?;
        let sessions = self.scan(after, STEP)?;
        let more = sessions.len() == STEP;
        let last = sessions.last().map(|(key, _)| key.clone());
        let old: Vec<_> =
            sessions.into_iter().filter(|(_, facts)| is_old(facts, horizon)).collect();
        if !old.is_empty() {
            self.remove(horizon, old.into_iter().map(|(key, _)| key))?;
        }
        if more {
            return Ok(last);
        }
        self.forget_empty_countries()?;
        Ok(None)
    }

    fn remove(
        &self,
        horizon: Timestamp,
        keys: impl Iterator<Item = SessionKey>,
    ) -> Result<(), StoreError> {
        let _writing = lock(&self.writing);
        let mut batch = self.db.batch();
        for key in keys {
            let facts_key = keys::facts(&key);
            let mut facts = self.facts_at(&facts_key)?;
            self.remove_rows(&mut batch, &key, &facts, horizon);
            facts.forget_before(horizon);
            if facts.is_empty() {
                batch.remove(&self.facts, facts_key);
            } else {
                batch.insert(&self.facts, facts_key, keys::write_facts(&facts));
            }
            if batch.len() >= ROWS {
                std::mem::replace(&mut batch, self.db.batch())
                    .commit()
                    .map_err(|error| self.fail(&error))?;
            }
        }
        batch.commit().map_err(|error| self.fail(&error))
    }

    /// Removes every row, and every marker, that a start before `horizon` can have.
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
                    batch.remove(
                        &self.completed,
                        keys::completed(&key.completed(start, *end), last),
                    );
                }
            }
        }
    }

    fn forget_empty_countries(&self) -> Result<(), StoreError> {
        let mut known = lock(&self.writing);
        let mut batch = self.db.batch();
        let mut empty = Vec::new();
        for country in known.iter() {
            if self.newest_start(country)?.is_none() {
                batch.remove(&self.countries, country.as_str());
                empty.push(country.clone());
            }
        }
        batch.commit().map_err(|error| self.fail(&error))?;
        for country in &empty {
            known.remove(country);
        }
        Ok(())
    }
}

fn is_old(facts: &SessionFacts, horizon: Timestamp) -> bool {
    facts.starts().first().is_some_and(|start| start.ts < horizon)
        || facts.ends().first().is_some_and(|end| *end < horizon)
}
