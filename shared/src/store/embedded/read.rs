//! Answering from the rows, without those that a marker supersedes.

use std::{
    collections::BTreeMap,
    ops::Bound::{self, Excluded, Included, Unbounded},
};

use fjall::{Keyspace, UserKey};

use super::{Engine, corrupt, keys, unread};
use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart},
    store::{SessionPosition, StartPosition, StoreError, Window},
    timestamp::Timestamp,
};

impl Engine {
    pub(super) fn known_countries(&self) -> Result<Vec<Country>, StoreError> {
        let country = |key: &[u8]| str::from_utf8(key).ok().and_then(Country::from_normalised);
        self.countries
            .iter()
            .map(|row| {
                let key = row.key().map_err(unread)?;
                country(&key).ok_or_else(|| corrupt(&self.countries, &key))
            })
            .collect()
    }

    pub(super) fn countries(
        &self,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, StoreError> {
        let mut countries = BTreeMap::new();
        for country in self.known_countries()? {
            if let Some(newest) = self.newest_start(&country)?.filter(|newest| *newest >= horizon) {
                countries.insert(country, newest);
            }
        }
        Ok(countries)
    }

    /// When the newest start of `country` was, superseded or not.
    pub(super) fn newest_start(&self, country: &Country) -> Result<Option<Timestamp>, StoreError> {
        let prefix = keys::country(country);
        let Some(row) = self.starts.prefix(&prefix).next() else { return Ok(None) };
        let key = row.key().map_err(unread)?;
        keys::read_start_time(&key, prefix.len())
            .map(Some)
            .ok_or_else(|| corrupt(&self.starts, &key))
    }

    pub(super) fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<&StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>, StoreError> {
        let mut from = keys::starts_before(country, window.to);
        if let Some(position) = after {
            from = from.max(keys::behind_start(country, position));
        }
        visible(&self.starts, from, keys::starts_before(country, window.from), limit, |key| {
            keys::read_start(key, country).map(Some)
        })
    }

    pub(super) fn count_starts(
        &self,
        country: &Country,
        window: Window,
        step: i64,
    ) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        let prefix = keys::country(country).len();
        let from = keys::starts_before(country, window.to);
        let mut slots = BTreeMap::new();
        visible(&self.starts, from, keys::starts_before(country, window.from), 1, |key| {
            *slots.entry(keys::read_start_time(key, prefix)?.floor(step)).or_default() += 1;
            Some(None::<()>)
        })?;
        Ok(slots)
    }

    pub(super) fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<&SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>, StoreError> {
        let from = match after {
            Some(position) => keys::behind_completed(user, position),
            None => keys::user(user),
        };
        // An end is never before its start: what ended before the horizon started before it too.
        visible(&self.completed, from, keys::completed_before(user, horizon), limit, |key| {
            let session = keys::read_completed(key)?;
            Some((session.started_at >= horizon).then_some(session))
        })
    }

    pub(super) fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        let prefix = keys::user(user);
        let from = match after {
            Some(session) => Excluded(keys::facts(&SessionKey { user: user.clone(), session })),
            None => Included(prefix.clone()),
        };
        self.scan_facts(from, Excluded(keys::behind(prefix)), limit)
    }

    pub(super) fn scan(
        &self,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        let from = after.map_or(Unbounded, |key| Excluded(keys::facts(key)));
        self.scan_facts(from, Unbounded, limit)
    }

    fn scan_facts(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        self.facts
            .range((from, to))
            .take(limit)
            .map(|row| {
                let (key, value) = row.into_inner().map_err(unread)?;
                keys::read_facts_key(&key)
                    .zip(keys::read_facts(&value))
                    .ok_or_else(|| corrupt(&self.facts, &key))
            })
            .collect()
    }
}

/// At most `limit` of what `read` makes of the rows in `from..to` that no marker supersedes. `read` answers `None` for a row
/// that it cannot read, and `Some(None)` for one that it leaves out.
fn visible<T>(
    rows: &Keyspace,
    from: Vec<u8>,
    to: Vec<u8>,
    limit: usize,
    mut read: impl FnMut(&[u8]) -> Option<Option<T>>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    if from >= to || limit == 0 {
        return Ok(items);
    }
    let mut superseded: Option<UserKey> = None;
    for row in rows.range(from..to) {
        let key = row.key().map_err(unread)?;
        let Some((last, row)) = key.split_last() else { continue };
        if *last == keys::MARKER {
            superseded = Some(key);
            continue;
        }
        // A marker stands directly before the row that it supersedes.
        if superseded
            .as_deref()
            .and_then(<[u8]>::split_last)
            .is_some_and(|(_, marked)| marked == row)
        {
            continue;
        }
        items.extend(read(&key).ok_or_else(|| corrupt(rows, &key))?);
        if items.len() == limit {
            break;
        }
    }
    Ok(items)
}
