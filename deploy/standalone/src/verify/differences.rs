//! The differences between the sessions in the store and those computed from the log.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use anyhow::Context;
use serde::Serialize;
use shared::{
    event::UserId,
    session::{SessionFacts, SessionKey},
    store::{SessionPosition, StartPosition, Store, Window},
    timestamp::Timestamp,
};

use super::{
    expected::{Expected, Share},
    steps::Steps,
};

/// The most differences that are listed.
const LISTED: usize = 100;
/// The rows per read.
const PAGE: usize = 10_000;

/// One comparison: the expected sessions of a share of the users, and the store.
pub(super) struct Check<'a> {
    pub(super) expected: &'a Expected,
    pub(super) store: &'a Store,
    pub(super) share: Share,
    pub(super) horizon: Timestamp,
    /// Whether the log is complete. If so, a session that is only in the store is a difference.
    pub(super) log_is_whole: bool,
    pub(super) steps: &'a Steps,
}

/// The number of differences, and the first ones.
#[derive(Debug, Default, Serialize)]
pub struct Differences {
    /// The number of differences.
    pub count: u64,
    /// The first differences, as sentences.
    pub first: Vec<String>,
}

impl Differences {
    fn add(&mut self, difference: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(difference());
        }
    }

    /// Compares everything that the store has about the users of a share.
    pub(super) async fn compare(&mut self, check: &Check<'_>) -> anyhow::Result<()> {
        let users = self.facts(check).await?;
        self.starts(check).await?;
        let due = check.expected.complete(check.horizon);
        let others =
            users.iter().filter(|user| !due.contains_key(user)).map(|user| (user, &[][..]));
        check.steps.next(
            check.share,
            "comparing users",
            (others.clone().count() + due.len()) as u64,
        );
        for (user, due) in others.chain(due.iter().map(|(user, due)| (*user, due.as_slice()))) {
            self.completed(check, user, due).await?;
            check.steps.done(1);
        }
        Ok(())
    }

    /// Compares the facts of each session, and returns the users in the store.
    async fn facts(&mut self, check: &Check<'_>) -> anyhow::Result<BTreeSet<UserId>> {
        let Check { expected, store, share, horizon, log_is_whole, steps } = *check;
        steps.next(share, "comparing sessions", expected.sessions.len() as u64);
        let mut users = BTreeSet::new();
        let mut found = 0;
        let mut after = None;
        loop {
            let page = store.scan(after.take(), PAGE).await.context("the facts cannot be read")?;
            after = page.last().map(|(key, _)| key.clone());
            for (key, facts) in page.into_iter().filter(|(key, _)| share.has(&key.user)) {
                match expected.sessions.get(&key) {
                    Some(want) => {
                        found += 1;
                        steps.done(1);
                        if !expected.contested.contains(&key) && !same(want, &facts, horizon) {
                            self.add(|| {
                                format!(
                                    "{}: the log has {want:?}, the store has {facts:?}",
                                    name(&key)
                                )
                            });
                        }
                    }
                    None if log_is_whole => {
                        self.add(|| format!("{}: in the store, not in the log", name(&key)))
                    }
                    None => {}
                }
                users.insert(key.user);
            }
            if after.is_none() {
                break;
            }
        }
        if found == expected.sessions.len() {
            return Ok(users);
        }
        for (key, want) in
            expected.sessions.iter().filter(|(_, want)| want.status(horizon).is_some())
        {
            if store.facts(key).await?.is_empty() {
                self.add(|| format!("{}: in the log as {want:?}, not in the store", name(key)));
            }
        }
        Ok(users)
    }

    async fn starts(&mut self, check: &Check<'_>) -> anyhow::Result<()> {
        let Check { expected, store, share, horizon, log_is_whole, steps } = *check;
        steps.next(share, "comparing starts", expected.starts(horizon).count() as u64);
        let countries = store.countries(horizon).await.context("the countries cannot be read")?;
        for country in expected.countries(horizon) {
            if !countries.contains_key(country) {
                self.add(|| format!("country {country}: in the log, not in the store"));
            }
        }
        let mut found = HashSet::new();
        let window = Window { from: horizon, to: Timestamp::MAX };
        for country in countries.keys() {
            let mut after = None;
            loop {
                let page = store
                    .starts(country, window, after.take(), PAGE)
                    .await
                    .context("starts cannot be read")?;
                let last = page.last().cloned();
                for start in page.into_iter().filter(|start| share.has(&start.user)) {
                    steps.done(1);
                    let key = SessionKey { user: start.user, session: start.session };
                    let want = expected.sessions.get(&key);
                    let right = match want {
                        Some(facts) => facts.start().is_some_and(|want| {
                            want.ts == start.ts && want.country == start.country
                        }),
                        None => !log_is_whole,
                    };
                    let excused = expected.contested.contains(&key);
                    if !excused && (!right || !found.insert(key.clone())) {
                        self.add(|| {
                            format!(
                                "{}: the store lists a start at {} in {country}, the log has {want:?}",
                                name(&key),
                                start.ts
                            )
                        });
                    }
                }
                let Some(last) = last else { break };
                after = Some(StartPosition { ts: last.ts, session: last.session, user: last.user });
            }
        }
        for (key, facts) in expected.starts(horizon) {
            if !expected.contested.contains(key) && !found.contains(key) {
                self.add(|| {
                    format!("{}: the log has a start ({facts:?}), no country lists it", name(key))
                });
            }
        }
        Ok(())
    }

    async fn completed(
        &mut self,
        check: &Check<'_>,
        user: &UserId,
        due: &[&SessionKey],
    ) -> anyhow::Result<()> {
        let Check { expected, store, horizon, .. } = *check;
        let mut found = HashSet::new();
        let mut after = None;
        loop {
            let page = store
                .completed(user, horizon, after.take(), PAGE)
                .await
                .context("sessions cannot be read")?;
            let full = page.len() == PAGE;
            after = page
                .last()
                .map(|last| SessionPosition { ts: last.ended_at, session: last.session.clone() });
            for session in page {
                let key = SessionKey { user: user.clone(), session: session.session.clone() };
                let want = expected.sessions.get(&key);
                // A session without facts is already a difference of the facts.
                let right =
                    want.is_none_or(|facts| facts.completed(&key).as_ref() == Some(&session));
                if !expected.contested.contains(&key) && (!right || !found.insert(key.clone())) {
                    self.add(|| {
                        format!("{}: the store lists {session:?}, the log has {want:?}", name(&key))
                    });
                }
            }
            if !full {
                break;
            }
        }
        for key in due.iter().filter(|key| !found.contains(**key)) {
            self.add(|| format!("{}: complete in the log, not listed in the store", name(key)));
        }
        Ok(())
    }
}

/// Whether both have the same facts, apart from expired ones.
fn same(want: &SessionFacts, have: &SessionFacts, horizon: Timestamp) -> bool {
    let recent = |facts: &SessionFacts| {
        let mut facts = facts.clone();
        facts.forget_before(horizon);
        facts
    };
    let (want, have) = (recent(want), recent(have));
    want.starts() == have.starts() && want.ends() == have.ends()
}

fn name(key: &SessionKey) -> String {
    format!("session {:?} of user {:?}", key.session.as_str(), key.user.as_str())
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.first {
            writeln!(f, "difference: {difference}")?;
        }
        match self.count {
            0 => writeln!(f, "no difference between the log and the store"),
            count => writeln!(f, "{count} differences"),
        }
    }
}
