//! Reads of the embedded store. They skip every row that a marker supersedes.

use std::{
    collections::BTreeMap,
    ops::Bound::{self, Excluded, Included, Unbounded},
};

use async_stream::try_stream;
use futures_util::Stream;

use super::{
    EmbeddedStore, Engine, Scan, corrupt, keys, read_error,
    walk::{Row, Walk, visible},
};
use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, SessionStart},
    store::{Result, SessionPosition, StartPosition, Window},
    timestamp::Timestamp,
};

impl EmbeddedStore {
    pub(in crate::store) async fn countries(
        &self,
        horizon: Timestamp,
        after: Option<Country>,
        limit: usize,
    ) -> Result<Vec<(Country, Timestamp)>> {
        self.range(move |engine, scan| {
            let (mut known, mut starts) = (Vec::new(), Walk::to(Unbounded, &engine.starts));
            for country in engine.countries_after(after.as_ref()) {
                if known.len() == limit {
                    break;
                }
                scan.row()?;
                let country = country?;
                let newest = engine.newest_start(&mut starts, &country)?;
                if let Some(newest) = newest.filter(|newest| *newest >= horizon) {
                    known.push((country, newest));
                }
            }
            Ok(known)
        })
        .await
    }

    pub(in crate::store) async fn starts(
        &self,
        country: &Country,
        window: Window,
        after: Option<StartPosition>,
        limit: usize,
    ) -> Result<Vec<SessionStart>> {
        let country = country.clone();
        self.range(move |engine, scan| {
            let mut from = keys::starts_before(&country, window.to);
            if let Some(position) = &after {
                from = from.max(keys::after_start(&country, position));
            }
            let to = keys::starts_before(&country, window.from);
            visible(&mut Walk::before(&to, &engine.starts), scan, (from, to), limit, |key| {
                keys::read_start(key, &country).into()
            })
        })
        .await
    }

    /// The engine has no read to keep open: it would keep files that were merged meanwhile.
    pub(in crate::store) fn all_starts(
        self,
        country: Country,
        window: Window,
        mut after: Option<StartPosition>,
        size: usize,
    ) -> impl Stream<Item = Result<Vec<SessionStart>>> + Send {
        try_stream! {
            loop {
                let starts = self.starts(&country, window, after.take(), size).await?;
                after = starts.last().map(StartPosition::from);
                let ended = starts.len() < size;
                if !starts.is_empty() {
                    yield starts;
                }
                if ended {
                    break;
                }
            }
        }
    }

    pub(in crate::store) async fn count_starts(
        &self,
        countries: Vec<Country>,
        window: Window,
        step: i64,
    ) -> Result<Vec<BTreeMap<Timestamp, u64>>> {
        self.range(move |engine, scan| {
            let Some(last) = countries.last() else { return Ok(Vec::new()) };
            let end = keys::starts_before(last, window.from);
            let mut starts = Walk::before(&end, &engine.starts);
            let count = |country: &Country| {
                let prefix = keys::country(country).len();
                let from = keys::starts_before(country, window.to);
                let to = keys::starts_before(country, window.from);
                let mut slots = BTreeMap::new();
                visible(&mut starts, scan, (from, to), 1, |key| {
                    let Some(ts) = keys::read_start_time(key, prefix) else { return Row::Corrupt };
                    *slots.entry(ts.floor(step)).or_default() += 1;
                    Row::Skip::<()>
                })?;
                Ok(slots)
            };
            countries.iter().map(count).collect()
        })
        .await
    }

    pub(in crate::store) async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>> {
        let user = user.clone();
        self.point(move |engine, scan| {
            let from = match &after {
                Some(position) => keys::after_completed(&user, position),
                None => keys::user(&user),
            };
            // An end is never before its start, so a session that ended before the horizon also
            // started before it.
            let to = keys::completed_before(&user, horizon);
            visible(&mut Walk::before(&to, &engine.completed), scan, (from, to), limit, |key| {
                match keys::read_completed(key) {
                    Some(session) if session.started_at < horizon => Row::Skip,
                    session => session.into(),
                }
            })
        })
        .await
    }

    pub(in crate::store) async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        let user = user.clone();
        self.range(move |engine, scan| {
            let to = Excluded(keys::after_user(&user));
            let from = match after {
                Some(session) => Excluded(keys::facts(&SessionKey { user, session })),
                None => Included(keys::user(&user)),
            };
            engine.scan_facts(scan, (from, to), limit)
        })
        .await
    }

    pub(in crate::store) async fn facts(&self, key: &SessionKey) -> Result<SessionFacts> {
        let key = keys::facts(key);
        self.point(move |engine, _| engine.facts_at(&key)).await
    }

    pub(in crate::store) async fn completed_users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        self.range(move |engine, scan| {
            let mut users = Vec::new();
            let mut from = after.map_or(Vec::new(), |user| keys::after_user(&user));
            while users.len() < limit {
                scan.row()?;
                let Some(row) = engine.completed.range(from..).next() else { break };
                let key = row.key().map_err(read_error)?;
                let row = keys::read_completed(&key);
                let row = row.ok_or_else(|| corrupt(&engine.completed, &key))?;
                from = keys::after_user(&row.user);
                users.push(row.user);
            }
            Ok(users)
        })
        .await
    }

    pub(in crate::store) async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        self.range(move |engine, scan| engine.sessions_after(scan, after.as_ref(), limit)).await
    }
}

impl EmbeddedStore {
    /// Runs a read of few rows.
    async fn point<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine, &mut Scan) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.reading(&self.0.points, work).await
    }

    /// Runs a read of any number of rows.
    pub(super) async fn range<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine, &mut Scan) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.reading(&self.0.ranges, work).await
    }
}

impl Engine {
    /// The countries after `after`, in order.
    pub(super) fn countries_after(
        &self,
        after: Option<&Country>,
    ) -> impl Iterator<Item = Result<Country>> + use<'_> {
        let country = |key: &[u8]| str::from_utf8(key).ok().and_then(Country::stored);
        let after = after.map_or(Unbounded, |after| Excluded(after.as_str().as_bytes().to_vec()));
        self.countries.range::<Vec<u8>, _>((after, Unbounded)).map(move |row| {
            let key = row.key().map_err(read_error)?;
            country(&key).ok_or_else(|| corrupt(&self.countries, &key))
        })
    }

    /// Time of the newest start of `country`, superseded or not.
    pub(super) fn newest_start(
        &self,
        starts: &mut Walk<'_>,
        country: &Country,
    ) -> Result<Option<Timestamp>> {
        let prefix = keys::country(country);
        starts.go_to(&prefix)?;
        let key = starts.peek()?.filter(|key| key.starts_with(&prefix));
        let Some(key) = key else { return Ok(None) };
        keys::read_start_time(key, prefix.len()).map(Some).ok_or_else(|| corrupt(&self.starts, key))
    }

    pub(super) fn sessions_after(
        &self,
        scan: &mut Scan,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        let from = after.map_or(Unbounded, |key| Excluded(keys::facts(key)));
        self.scan_facts(scan, (from, Unbounded), limit)
    }

    fn scan_facts(
        &self,
        scan: &mut Scan,
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        self.facts
            .range(range)
            .take(limit)
            .map(|row| {
                scan.row()?;
                let (key, value) = row.into_inner().map_err(read_error)?;
                keys::read_facts_key(&key)
                    .zip(keys::read_facts(&value))
                    .ok_or_else(|| corrupt(&self.facts, &key))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::EmbeddedStoreOptions, *};
    use crate::{
        session::{Fact, Start},
        store::{Effect, Sighting},
    };

    #[tokio::test]
    async fn a_walk_over_rows_ends_when_its_caller_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedStoreOptions { reserve_bytes: 0, ..EmbeddedStoreOptions::default() };
        let store = EmbeddedStore::open(dir.path(), options).unwrap();
        let key =
            SessionKey { user: UserId::new("u").unwrap(), session: SessionId::new("s").unwrap() };
        let start = Start { ts: Timestamp::default(), country: Country::normalise("SK") };
        let row = Effect::RecordStart(key.started(&start));
        let sighting = Sighting { key, facts: vec![Fact::Start(start)] };
        store.absorb(vec![sighting].into()).await.unwrap();
        store.apply(vec![row].into(), Timestamp::default()).await.unwrap();

        let walk = |mut scan: Scan| {
            let all = (Vec::new(), vec![u8::MAX]);
            let starts =
                visible(&mut Walk::before(&all.1, &store.0.starts), &mut scan, all, 9, |_| {
                    Row::Keep(())
                })
                .map(|all| all.len());
            let facts = store.0.sessions_after(&mut scan, None, 9).map(|all| all.len());
            [starts.ok(), facts.ok()]
        };
        let caller = Arc::new(());
        assert_eq!(walk(Scan::of(&caller)), [Some(1), Some(1)]);
        let left = Scan::of(&caller);
        drop(caller);
        assert_eq!(walk(left), [None, None]);
    }
}
