//! The table `facts`: reads of sessions with all their facts.

use scylla::statement::prepared::PreparedStatement;

use super::{
    CassandraStore,
    driver::{Caller, paged},
};
use crate::{
    event::{SessionId, UserId},
    session::{SessionFacts, SessionKey},
    store::Result,
};

mod absorb;
mod session_rows;
mod stamp;
mod stored;

pub(super) use self::{stamp::Stamps, stored::reference};

impl CassandraStore {
    pub(in crate::store) async fn facts(&self, key: &SessionKey) -> Result<SessionFacts> {
        let values = (key.user.as_str(), vec![key.session.as_str()]);
        let statement = &self.requests()?.statements.facts_of_user;
        let mut found = self.read_sessions(Caller::Point, statement, &values, 1).await?;
        Ok(found.pop().map(|(_, facts)| facts).unwrap_or_default())
    }

    pub(in crate::store) async fn sessions(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // No session has an empty id.
        let values = (user.as_str(), after.as_ref().map_or("", SessionId::as_str));
        let statement = for_sessions(&self.requests()?.statements.facts_after, limit);
        self.read_sessions(Caller::Range, &statement, &values, limit).await
    }

    /// The sessions of all users, ordered by the token of the user.
    pub(in crate::store) async fn scan(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        let statements = &self.requests()?.statements;
        let (mut found, mut token) = (Vec::new(), i64::MIN);
        if let Some(SessionKey { user, session }) = after {
            let of_user = statements.facts_after.calculate_token(&(user.as_str(), ""));
            // The statement names the whole partition key, so it always has a token.
            token = of_user.ok().flatten().map_or(i64::MAX, |token| token.value());
            found = self.sessions(&user, Some(session), limit).await?;
        }
        if found.len() < limit {
            let room = limit - found.len();
            let statement = for_sessions(&statements.facts_after_token, room);
            let more = self.read_sessions(Caller::Background, &statement, &(token,), room).await?;
            found.extend(more);
        }
        Ok(found)
    }
}

/// `statement` with pages for `limit` ordinary sessions of two facts each, and one more row, which
/// shows that the last session is complete.
fn for_sessions(statement: &PreparedStatement, limit: usize) -> PreparedStatement {
    paged(statement, limit.saturating_mul(2).saturating_add(1))
}
