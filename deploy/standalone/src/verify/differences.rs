//! The differences between the sessions in the store and those computed from the log.

use std::{collections::BTreeSet, fmt};

use anyhow::Context;
use indicatif::HumanCount;
use serde::Serialize;
use shared::{
    event::UserId,
    session::{SessionFacts, SessionKey},
    store::Store,
    timestamp::Timestamp,
};

use super::{
    difference::{Difference, DifferenceKind, facts_in_words},
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
    /// The first differences.
    pub first: Vec<Difference>,
    /// The sessions and rows in the store that were compared.
    #[serde(skip)]
    pub(super) compared: u64,
}

impl Differences {
    pub(super) fn add(&mut self, difference: impl FnOnce() -> Difference) {
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
    /// retention has removed from the log to the expected ones.
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
                self.compared += 1;
                if expected.sessions.contains_key(&key) {
                    found += 1;
                    steps.done(1);
                    self.compare_facts(log_is_whole, horizon, expected, &key, facts);
                } else if log_is_whole {
                    self.add(|| {
                        let what = facts_in_words(&facts);
                        let what = format!("the store has {what}; it is not in the log");
                        Difference::of_session(DifferenceKind::SessionNotInLog, &key, &what)
                    });
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
        for key in expected.sessions.keys() {
            let want = expected.answered(key);
            if want.status(horizon).is_some() && store.facts(key).await?.is_empty() {
                self.add(|| {
                    let what = facts_in_words(&want);
                    let what = format!("the log has {what}; it is not in the store");
                    Difference::of_session(DifferenceKind::SessionNotInStore, key, &what)
                });
            }
        }
        Ok(users)
    }

    /// Compares the `facts` of a session in the store. The store may have facts of records that
    /// are not answered yet.
    fn compare_facts(
        &mut self,
        log_is_whole: bool,
        horizon: Timestamp,
        expected: &mut Expected,
        key: &SessionKey,
        facts: SessionFacts,
    ) {
        if expected.contested.contains(key) {
            return;
        }
        let (all, answered) = (&expected.sessions[key], expected.answered(key));
        let is_complete = includes(&facts, &answered, horizon);
        let is_explained = !log_is_whole || includes(all, &facts, horizon);
        if !is_complete || !is_explained {
            self.add(|| {
                let (want, have) = (facts_in_words(all), facts_in_words(&facts));
                let what = format!("the log has {want}; the store has {have}");
                Difference::of_session(DifferenceKind::FactsDiffer, key, &what)
            });
        } else if !log_is_whole {
            drop(answered);
            // The rows follow from all facts, also from those that retention has removed.
            expected.sessions.insert(key.clone(), facts);
        }
    }
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

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.first {
            writeln!(f, "difference: {difference}")?;
        }
        let listed = self.first.len() as u64;
        if self.count > listed {
            writeln!(f, "and {} more differences", HumanCount(self.count - listed))?;
        }
        match self.count {
            0 => writeln!(f, "no difference between the log and the store"),
            1 => writeln!(f, "1 difference"),
            count => writeln!(f, "{} differences", HumanCount(count)),
        }
    }
}
