//! The differences between the rows in the store and those that the facts require: a row that no
//! fact explains, and a fact without its row.

use std::{
    collections::{BTreeSet, HashSet},
    pin::pin,
};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::{
    event::{Country, UserId},
    session::{CompletedSession, MAX_FACTS, SessionFacts, SessionKey, SessionStart},
    store::{SessionPosition, Window},
    timestamp::Timestamp,
};

use super::{
    difference::{Difference, DifferenceKind, facts_in_words, row_of_completed, row_of_start},
    differences::{Check, Differences, PAGE},
    expected::Expected,
};

/// The number of sessions whose facts are read at the same time.
const READS: usize = 64;

impl Check<'_> {
    /// The users of the share with a completed session. They need not have a fact.
    pub(super) async fn completed_users(&self) -> anyhow::Result<BTreeSet<UserId>> {
        let (mut users, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.store.completed_users(after.take(), PAGE).await;
            let page = page.context("the users of completed sessions cannot be read")?;
            let Some(last) = page.last() else { return Ok(users) };
            after = Some(last.clone());
            users.extend(page.into_iter().filter(|user| self.share.has(user)));
        }
    }

    /// Pairs each row of a session that is not in the log with the session's facts in the store.
    async fn with_facts<T>(
        &self,
        rows: Vec<(SessionKey, T)>,
    ) -> anyhow::Result<Vec<(SessionKey, T, SessionFacts)>> {
        let read = |(key, row): (SessionKey, T)| async move {
            let facts = self.store.facts(&key).await.context("the facts cannot be read")?;
            anyhow::Ok((key, row, facts))
        };
        stream::iter(rows).map(read).buffered(READS).try_collect().await
    }
}

/// Whether a session has all the facts that it may have, so that its rows depend on their order.
fn is_full(facts: &SessionFacts) -> bool {
    facts.starts().len() + facts.ends().len() >= MAX_FACTS
}

fn is_its_start(facts: &SessionFacts, row: &SessionStart) -> bool {
    facts.start().is_some_and(|start| start.ts == row.ts && start.country == row.country)
}

/// A start that the `facts` in the log or the store (`place`) do not explain.
fn start_not_in_log(
    key: &SessionKey,
    row: &SessionStart,
    place: &str,
    facts: &SessionFacts,
) -> Difference {
    let what = format!("{}; the {place} has {}", row_of_start(row), facts_in_words(facts));
    Difference::of_session(DifferenceKind::StartNotInLog, key, &what)
}

/// The same for a completed session.
fn completed_not_in_log(
    key: &SessionKey,
    row: &CompletedSession,
    place: &str,
    facts: &SessionFacts,
) -> Difference {
    let what = format!("{}; the {place} has {}", row_of_completed(row), facts_in_words(facts));
    Difference::of_session(DifferenceKind::CompletedNotInLog, key, &what)
}

impl Differences {
    pub(super) async fn starts(
        &mut self,
        check: &Check<'_>,
        expected: &Expected,
    ) -> anyhow::Result<()> {
        let Check { store, share, horizon, steps, .. } = *check;
        steps.next(share, "comparing starts", expected.starts(horizon).count() as u64);
        let mut missing = expected.countries(horizon);
        let (mut found, mut after) = (HashSet::new(), None);
        loop {
            let countries = store.countries(horizon, after.take(), PAGE).await;
            let countries = countries.context("the countries cannot be read")?;
            after = countries.last().map(|(country, _)| country.clone());
            for (country, _) in &countries {
                missing.remove(country);
                self.starts_of(check, expected, country, &mut found).await?;
            }
            if countries.len() < PAGE {
                break;
            }
        }
        for country in missing {
            self.add(|| Difference::of_country(country));
        }
        for (key, facts) in expected.starts(horizon) {
            if expected.is_settled(key) && !found.contains(key) {
                self.add(|| {
                    let what =
                        format!("the log has {}; no country lists it", facts_in_words(facts));
                    Difference::of_session(DifferenceKind::StartNotInStore, key, &what)
                });
            }
        }
        Ok(())
    }

    async fn starts_of(
        &mut self,
        check: &Check<'_>,
        expected: &Expected,
        country: &Country,
        found: &mut HashSet<SessionKey>,
    ) -> anyhow::Result<()> {
        let window = Window { from: check.horizon, to: Timestamp::MAX };
        let pieces = check.store.all_starts(country.clone(), window, None, PAGE, usize::MAX);
        let mut pieces = pin!(pieces);
        while let Some(rows) = pieces.next().await {
            let rows = rows.context("starts cannot be read")?;
            let rows = rows.into_iter().filter(|start| check.share.has(&start.user));
            self.compare_starts(check, expected, found, rows.collect()).await?;
        }
        Ok(())
    }

    async fn compare_starts(
        &mut self,
        check: &Check<'_>,
        expected: &Expected,
        found: &mut HashSet<SessionKey>,
        rows: Vec<SessionStart>,
    ) -> anyhow::Result<()> {
        let mut unexplained = Vec::new();
        for row in rows {
            check.steps.done(1);
            self.compared += 1;
            let key = SessionKey { user: row.user.clone(), session: row.session.clone() };
            let Some(want) = expected.sessions.get(&key) else {
                unexplained.push((key, row));
                continue;
            };
            let is_right = is_its_start(want, &row) && found.insert(key.clone());
            if !is_right && expected.is_settled(&key) {
                self.add(|| start_not_in_log(&key, &row, "log", want));
            }
        }
        for (key, row, facts) in check.with_facts(unexplained).await? {
            // Facts that are not in a whole log are a difference of their own.
            let is_explained = is_full(&facts) || is_its_start(&facts, &row);
            if check.log_is_whole || !is_explained {
                self.add(|| start_not_in_log(&key, &row, "store", &facts));
            }
        }
        Ok(())
    }

    pub(super) async fn completed(
        &mut self,
        check: &Check<'_>,
        expected: &Expected,
        user: &UserId,
        due: &[&SessionKey],
    ) -> anyhow::Result<()> {
        let mut found = HashSet::new();
        let mut after = None;
        loop {
            let page = check
                .store
                .completed(user, check.horizon, after.take(), PAGE)
                .await
                .context("sessions cannot be read")?;
            let full = page.len() == PAGE;
            after = page
                .last()
                .map(|last| SessionPosition { ts: last.ended_at, session: last.session.clone() });
            self.compare_completed(check, expected, &mut found, page).await?;
            if !full {
                break;
            }
        }
        for key in due.iter().filter(|key| !found.contains(**key)) {
            self.add(|| {
                let facts = facts_in_words(&expected.sessions[*key]);
                let what = format!("the log has {facts}; its user's list in the store lacks it");
                Difference::of_session(DifferenceKind::CompletedNotInStore, key, &what)
            });
        }
        Ok(())
    }

    async fn compare_completed(
        &mut self,
        check: &Check<'_>,
        expected: &Expected,
        found: &mut HashSet<SessionKey>,
        rows: Vec<CompletedSession>,
    ) -> anyhow::Result<()> {
        let mut unexplained = Vec::new();
        for row in rows {
            self.compared += 1;
            let key = SessionKey { user: row.user.clone(), session: row.session.clone() };
            let Some(want) = expected.sessions.get(&key) else {
                unexplained.push((key, row));
                continue;
            };
            let is_right = want.completed(&key).as_ref() == Some(&row) && found.insert(key.clone());
            if !is_right && expected.is_settled(&key) {
                self.add(|| completed_not_in_log(&key, &row, "log", want));
            }
        }
        for (key, row, facts) in check.with_facts(unexplained).await? {
            // Facts that are not in a whole log are a difference already.
            let is_explained = if check.log_is_whole {
                !facts.is_empty()
            } else {
                is_full(&facts) || facts.completed(&key).as_ref() == Some(&row)
            };
            if !is_explained {
                self.add(|| completed_not_in_log(&key, &row, "store", &facts));
            }
        }
        Ok(())
    }
}
