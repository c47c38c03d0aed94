//! Answering from the rows of users: their completed sessions, and the facts of any of them.

use std::ops::ControlFlow;

use scylla::{
    response::PagingState, serialize::row::SerializeRow, statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};

use super::{Shared, corrupt, insert::cql, request::For, stored::Stored};
use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, SessionFacts, SessionKey, Start},
    store::{SessionPosition, StoreError},
    timestamp::Timestamp,
};

/// ended_at, session, started_at, country, marker.
type Row<'a> = (CqlTimestamp, &'a str, CqlTimestamp, &'a str, i8);

/// Completed sessions of a user, as far as they are asked for.
struct Listing<'a> {
    user: &'a UserId,
    horizon: Timestamp,
    limit: usize,
    listed: Vec<CompletedSession>,
    /// The last marker: it stands directly before the row that it supersedes.
    superseded: Option<CompletedSession>,
}

impl Shared {
    pub(super) async fn completed(
        &self,
        user: &UserId,
        horizon: Timestamp,
        after: Option<SessionPosition>,
        limit: usize,
    ) -> Result<Vec<CompletedSession>, StoreError> {
        let mut listing = Listing { user, horizon, limit, listed: Vec::new(), superseded: None };
        let name = user.as_str();
        let before = match &after {
            None => CqlTimestamp(Timestamp::MAX.millis() + 1),
            Some(position) => {
                let values = (name, cql(position.ts), position.session.as_str());
                self.list(&mut listing, &self.requests.statements.completed_equal, &values).await?;
                cql(position.ts)
            }
        };
        // An end is never before its start: what ended before the horizon started before it too.
        let values = (name, before, cql(horizon));
        self.list(&mut listing, &self.requests.statements.completed, &values).await?;
        Ok(listing.listed)
    }

    async fn list(
        &self,
        listing: &mut Listing<'_>,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<(), StoreError> {
        let statement = paged(statement, listing.limit);
        let mut from = PagingState::start();
        while listing.listed.len() < listing.limit {
            let (result, next) =
                self.requests.page(For::Answering, &statement, values, from).await?;
            let unreadable = |error: &dyn std::fmt::Display| corrupt("completed_by_user", error);
            let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
            for row in rows.rows::<Row<'_>>().map_err(|error| unreadable(&error))? {
                let row = row.map_err(|error| unreadable(&error))?;
                listing.add(&row).ok_or_else(|| unreadable(&format_args!("{row:?}")))?;
            }
            match next.into_paging_control_flow() {
                ControlFlow::Continue(next) => from = next,
                ControlFlow::Break(()) => break,
            }
        }
        Ok(())
    }

    pub(super) async fn facts(&self, key: &SessionKey) -> Result<SessionFacts, StoreError> {
        let values = (key.user.as_str(), vec![key.session.as_str()]);
        let statement = &self.requests.statements.facts_of_user;
        let found = self.requests.sessions(For::Answering, statement, &values, 1).await?;
        Ok(found.first().map(|(_, stored)| stored.session()).unwrap_or_default())
    }

    pub(super) async fn sessions(
        &self,
        user: &UserId,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // No session has an empty name.
        let values = (user.as_str(), after.map_or("", SessionId::as_str));
        let statement = paged(&self.requests.statements.facts_behind, limit.saturating_mul(2));
        let found = self.requests.sessions(For::Answering, &statement, &values, limit).await?;
        Ok(whole(found, limit).collect())
    }

    /// The sessions of all users, by the token of the user.
    pub(super) async fn scan(
        &self,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>, StoreError> {
        let statements = &self.requests.statements;
        let (mut found, mut token) = (Vec::new(), i64::MIN);
        if let Some(SessionKey { user, session }) = after {
            found = self.sessions(user, Some(session), limit).await?;
            let values = (user.as_str(), "");
            let of_user = statements.facts_behind.calculate_token(&values);
            // The statement names the whole partition key, so it always has a token.
            token = of_user.ok().flatten().map_or(i64::MAX, |token| token.value());
        }
        if found.len() < limit {
            let room = limit - found.len();
            let statement = paged(&statements.facts_from, room.saturating_mul(2));
            let more = self.requests.sessions(For::Working, &statement, &(token,), room).await?;
            found.extend(whole(more, room));
        }
        Ok(found)
    }
}

impl Listing<'_> {
    /// `None` for a row that this program never writes.
    fn add(&mut self, (ended_at, session, started_at, country, marker): &Row<'_>) -> Option<()> {
        let start = Start {
            ts: Timestamp::from_millis(started_at.0)?,
            country: Country::from_normalised(country)?,
        };
        let key = SessionKey { user: self.user.clone(), session: SessionId::new(session)? };
        let row = key.completed(&start, Timestamp::from_millis(ended_at.0)?);
        if *marker != 0 {
            self.superseded = Some(row);
        } else if self.superseded.as_ref() != Some(&row)
            && row.started_at >= self.horizon
            && self.listed.len() < self.limit
        {
            self.listed.push(row);
        }
        Some(())
    }
}

fn whole(
    found: Vec<(SessionKey, Stored)>,
    limit: usize,
) -> impl Iterator<Item = (SessionKey, SessionFacts)> {
    found.into_iter().take(limit).map(|(key, stored)| (key, stored.session()))
}

/// `statement` with pages for about `rows` rows: neither a request for each few, nor much more than is asked for.
pub(super) fn paged(statement: &PreparedStatement, rows: usize) -> PreparedStatement {
    let mut statement = statement.clone();
    statement.set_page_size(i32::try_from(rows.clamp(32, 2_000)).unwrap_or(2_000));
    statement
}
