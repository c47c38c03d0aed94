//! The differences between the sessions in the store and those computed from the log.

use std::{collections::BTreeSet, fmt};

use anyhow::Context;
use serde::Serialize;
use shared::{
    event::UserId,
    session::{SessionFacts, SessionKey},
    store::Store,
    timestamp::Timestamp,
};

use super::{
    expected::{Expected, Share},
    steps::Steps,
};

/// The most differences that are listed.
const LISTED: usize = 100;
/// The rows per read.
pub(super) const PAGE: usize = 10_000;

/// One comparison: of a share of the users, with the store.
pub(super) struct Check<'a> {
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
    pub(super) fn add(&mut self, difference: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(difference());
        }
    }

    /// Compares everything that the store has about the users of a share.
    pub(super) async fn compare(
        &mut self,
        check: &Check<'_>,
        expected: &mut Expected,
    ) -> anyhow::Result<()> {
        let mut users = self.facts(check, expected).await?;
        let expected = &*expected;
        self.starts(check, expected).await?;
        users.extend(check.completed_users().await?);
        let due = expected.complete(check.horizon);
        let others =
            users.iter().filter(|user| !due.contains_key(user)).map(|user| (user, &[][..]));
        check.steps.next(
            check.share,
            "comparing users",
            (others.clone().count() + due.len()) as u64,
        );
        for (user, due) in others.chain(due.iter().map(|(user, due)| (*user, due.as_slice()))) {
            self.completed(check, expected, user, due).await?;
            check.steps.done(1);
        }
        Ok(())
    }

    /// Compares the facts of each session, and returns the users in the store. Adds the facts that
    /// retention has removed from the log to the expected ones: the rows follow from all of them.
    async fn facts(
        &mut self,
        check: &Check<'_>,
        expected: &mut Expected,
    ) -> anyhow::Result<BTreeSet<UserId>> {
        let Check { store, share, horizon, log_is_whole, steps } = *check;
        steps.next(share, "comparing sessions", expected.sessions.len() as u64);
        let mut users = BTreeSet::new();
        let mut found = 0;
        let mut after = None;
        loop {
            let page = store.scan(after.take(), PAGE).await.context("the facts cannot be read")?;
            after = page.last().map(|(key, _)| key.clone());
            for (key, facts) in page.into_iter().filter(|(key, _)| share.has(&key.user)) {
                match expected.sessions.get_mut(&key) {
                    Some(want) => {
                        found += 1;
                        steps.done(1);
                        if expected.contested.contains(&key) {
                        } else if !log_is_whole && includes(&facts, want, horizon) {
                            *want = facts;
                        } else if !same(want, &facts, horizon) {
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
}

/// Whether both have the same facts, apart from expired ones.
fn same(want: &SessionFacts, have: &SessionFacts, horizon: Timestamp) -> bool {
    let (want, have) = (recent(want, horizon), recent(have, horizon));
    want.starts() == have.starts() && want.ends() == have.ends()
}

/// Whether `have` has every fact of `want` that has not expired.
fn includes(have: &SessionFacts, want: &SessionFacts, horizon: Timestamp) -> bool {
    let want = recent(want, horizon);
    want.starts().iter().all(|start| have.starts().contains(start))
        && want.ends().iter().all(|end| have.ends().contains(end))
}

fn recent(facts: &SessionFacts, horizon: Timestamp) -> SessionFacts {
    let mut facts = facts.clone();
    facts.forget_before(horizon);
    facts
}

pub(super) fn name(key: &SessionKey) -> String {
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
