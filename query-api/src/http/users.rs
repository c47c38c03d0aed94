//! Questions about the sessions of one user.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    event::{SessionId, UserId},
    session::{SessionKey, Status},
    timestamp::RETENTION,
};
use utoipa::ToSchema;

use super::{Service, body, reply::Answer};
use crate::{
    cursor::{self, Question},
    error::QueryError,
    explain::explain,
    params::{Params, percent_decode},
    sessions::{self, Listed},
};

/// How many sessions a reply holds unless it is said, and at most.
const LIMIT: (usize, usize) = (20, 100);

/// Sessions of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionsReply {
    /// As it was asked for.
    user_id: UserId,
    /// Newest first, equal times by session; a user that is not known has none.
    sessions: Vec<Listed>,
    /// The `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

impl Service {
    /// `/v1/users/{user_id}/sessions`
    pub(super) async fn sessions(&self, user: &str, query: &str) -> Result<Answer, QueryError> {
        let user = user_id(user)?;
        let params = Params::parse(query, &["status", "limit", "cursor"])?;
        let status = match params.one("status") {
            None | Some("complete") => Status::Complete,
            Some("open") => Status::Open,
            Some("orphan") => Status::Orphan,
            Some(_) => return Err(QueryError::InvalidStatus),
        };
        let limit = params.limit(LIMIT.0, LIMIT.1)?;
        let question = Question::sessions(&user, status);
        let after =
            params.one("cursor").map(|text| cursor::read_session(question, text)).transpose()?;
        let horizon = self.clock.now() - RETENTION;
        let listing = sessions::list(&self.store, &user, status, horizon, after, limit).await?;
        let next = listing.next.map(|position| cursor::write_session(question, &position));
        let rows = listing.sessions.len();
        Ok(Answer::json(&SessionsReply { user_id: user, sessions: listing.sessions, next }, rows))
    }

    /// `/v1/users/{user_id}/sessions/{session_id}`
    pub(super) async fn session(
        &self,
        user: &str,
        session: &str,
        query: &str,
    ) -> Result<Answer, QueryError> {
        let user = user_id(user)?;
        let session = percent_decode(session).and_then(|text| SessionId::new(&text));
        let session = session.ok_or(QueryError::InvalidSessionId)?;
        Params::parse(query, &[])?;
        let key = SessionKey { user, session };
        let facts = self.store.facts(&key).await?;
        let explanation = explain(key, facts, self.clock.now() - RETENTION);
        Ok(Answer::json(&explanation.ok_or(QueryError::UnknownSession)?, 1))
    }

    /// `/user/last-sessions-user`
    pub(super) async fn last_sessions(&self, query: &str) -> Result<Answer, QueryError> {
        let params = Params::parse(query, &["user_id", "player_id"])?;
        let user =
            body::either(params.one("user_id"), params.one("player_id"), "user_id=d6313e1f")?;
        let sessions = self.last(&user).await?;
        let rows = sessions.len();
        Ok(Answer::json(&BTreeMap::from([(user, sessions)]), rows))
    }

    /// `/` with a body.
    pub(super) async fn root(&self, query: &str, body: &[u8]) -> Result<Answer, QueryError> {
        Params::parse(query, &[])?;
        let sessions = self.last(&body::user(body)?).await?;
        Ok(Answer::json(&sessions, sessions.len()))
    }

    /// The last complete sessions of a user.
    async fn last(&self, user: &UserId) -> Result<Vec<Listed>, QueryError> {
        let horizon = self.clock.now() - RETENTION;
        let listing =
            sessions::list(&self.store, user, Status::Complete, horizon, None, LIMIT.0).await?;
        Ok(listing.sessions)
    }
}

fn user_id(segment: &str) -> Result<UserId, QueryError> {
    percent_decode(segment).and_then(|text| UserId::new(&text)).ok_or(QueryError::InvalidUserId)
}
