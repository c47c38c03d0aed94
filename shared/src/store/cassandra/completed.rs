//! The table `completed_by_user`: reads of a user's completed sessions.

use scylla::{
    response::PagingState, serialize::row::SerializeRow, statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};

use super::{
    CassandraStore,
    driver::{Caller, paged, read_rows},
    insert::cql,
    trial::is_trial,
};
use crate::{
    event::{Country, SessionId, UserId},
    session::CompletedSession,
    store::{Result, SessionPosition},
    timestamp::Timestamp,
};

/// ended_at, session, started_at, country, marker.
type Row<'a> = (CqlTimestamp, &'a str, CqlTimestamp, &'a str, i8);

/// A page of completed sessions that is being filled.
struct Page<'a> {
    user: &'a UserId,
    horizon: Timestamp,
    limit: usize,
    sessions: Vec<CompletedSession>,
    /// The last marker, which sorts directly before the row that it supersedes.
    superseded: Option<CompletedSession>,
}

impl CassandraStore {
    pub(in crate::store) async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>> {
        let mut page = Page { user, horizon, limit, sessions: Vec::new(), superseded: None };
        let statements = &self.requests()?.statements;
        let before = match &after {
            None => CqlTimestamp(Timestamp::MAX.millis() + 1),
            Some(position) => {
                let values = (user.as_str(), cql(position.ts), position.session.as_str());
                self.fill(&mut page, &statements.completed_equal, &values).await?;
                cql(position.ts)
            }
        };
        // An end is never before its start, so a session that ended before the horizon also started
        // before it.
        let values = (user.as_str(), before, cql(horizon));
        self.fill(&mut page, &statements.completed, &values).await?;
        Ok(page.sessions)
    }

    /// The users with a row, ordered by their tokens.
    pub(in crate::store) async fn completed_users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let statements = &self.requests()?.statements;
        let mut after_token = i64::MIN;
        if let Some(user) = after {
            let of_user = statements.facts_after.calculate_token(&(user.as_str(), ""));
            after_token = of_user.ok().flatten().map_or(i64::MAX, |token| token.value());
        }
        let statement = paged(&statements.completed_users, limit);
        let (mut users, mut from) = (Vec::new(), PagingState::start());
        while users.len() < limit {
            let (rows, next) = self
                .requests()?
                .page(Caller::Background, &statement, &(after_token,), from)
                .await?;
            read_rows("completed_by_user", &rows, |(user,): &(&str,)| {
                match UserId::stored(user) {
                    Some(user) => users.push(user),
                    None => return is_trial(user).then_some(()),
                }
                Some(())
            })?;
            let Some(next) = next else { break };
            from = next;
        }
        users.truncate(limit);
        Ok(users)
    }

    async fn fill(
        &self,
        page: &mut Page<'_>,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<()> {
        let (requests, statement) = (self.requests()?, paged(statement, page.limit));
        let mut from = PagingState::start();
        while page.sessions.len() < page.limit {
            let (rows, next) = requests.page(Caller::Point, &statement, values, from).await?;
            read_rows("completed_by_user", &rows, |row: &Row<'_>| page.add(row))?;
            let Some(next) = next else { break };
            from = next;
        }
        Ok(())
    }
}

impl Page<'_> {
    /// `None` for a row that this program never writes.
    fn add(&mut self, (ended_at, session, started_at, country, marker): &Row<'_>) -> Option<()> {
        let row = CompletedSession {
            user: self.user.clone(),
            session: SessionId::stored(session)?,
            country: Country::stored(country)?,
            started_at: Timestamp::from_millis(started_at.0)?,
            ended_at: Timestamp::from_millis(ended_at.0)?,
        };
        if *marker != 0 {
            self.superseded = Some(row);
        } else if self.superseded.as_ref() != Some(&row)
            && row.started_at >= self.horizon
            && self.sessions.len() < self.limit
        {
            self.sessions.push(row);
        }
        Some(())
    }
}
