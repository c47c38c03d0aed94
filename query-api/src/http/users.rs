//! Queries about the sessions of one user.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    event::{SessionId, UserId},
    http::{Access, Params, Request, percent_decode},
    session::{SessionKey, Status},
    timestamp::RETENTION,
};
use utoipa::ToSchema;

use super::{
    body, docs,
    reply::Answer,
    service::{QueryService, Reach},
};
use crate::{
    cursor::{self, QueryHash},
    error::QueryError,
    explain::explain,
    params::limit,
    sessions::{self, After, ListedSession},
};

/// The parameters of `/v1/users/{user_id}/sessions`.
pub(super) const SESSIONS: [&str; 3] = ["status", "limit", "cursor"];
/// The parameters of `/v1/sessions`.
pub(super) const SESSIONS_BY_QUERY: [&str; 4] = ["user_id", "status", "limit", "cursor"];
/// The parameters of `/v1/session`.
pub(super) const SESSION_BY_QUERY: [&str; 2] = ["user_id", "session_id"];
/// The parameters of `/user/last-sessions-user`.
pub(super) const LAST_SESSIONS: [&str; 2] = ["user_id", "player_id"];

/// The number of sessions on a page, by default and at most.
pub(super) const LIMIT: (usize, usize) = (20, 100);

/// One page of the sessions of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionsPage)]
pub(super) struct SessionsReply {
    /// The user of the query.
    user_id: UserId,
    /// The sessions, newest first and equal times by session, unless `order` is given. The list is
    /// empty for an unknown user.
    sessions: Vec<ListedSession>,
    /// Given if the user has too many sessions to sort the open sessions or orphans by time. A page
    /// may then be shorter than `limit`, or even empty, although there is a next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order: Option<Order>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// An order of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionOrder)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// By the bytes of their ids.
    SessionId,
}

impl QueryService {
    /// `/v1/users/{user_id}/sessions`
    pub(super) async fn sessions(&self, request: Request) -> Result<Answer, QueryError> {
        let user = decoded(request.segment(0), UserId::stored).ok_or(QueryError::InvalidUserId)?;
        request.caller.may_read(&user)?;
        let params = Params::parse(&request.query, &SESSIONS)?;
        self.list(user, &params).await
    }

    /// `/v1/sessions`
    pub(super) async fn sessions_by_query(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse(&request.query, &SESSIONS_BY_QUERY)?;
        let user = body::either(params.one("user_id"), None, body::IN_QUERY)?;
        request.caller.may_read(&user)?;
        self.list(user, &params).await
    }

    /// One page of the sessions of `user`.
    async fn list(&self, user: UserId, params: &Params) -> Result<Answer, QueryError> {
        let status = match params.one("status") {
            None | Some("complete") => Status::Complete,
            Some("open") => Status::Open,
            Some("orphan") => Status::Orphan,
            Some(_) => return Err(QueryError::InvalidStatus),
        };
        let limit = limit(params, LIMIT.0, LIMIT.1)?;
        let query = QueryHash::sessions(&user, status);
        let after =
            params.one("cursor").map(|text| cursor::read_session(query, text)).transpose()?;
        let horizon = self.clock.now() - RETENTION;
        let reach = match status {
            Status::Complete => Reach::Point,
            Status::Open | Status::Orphan => Reach::Range,
        };
        self.in_time(reach, async {
            let store = &self.store;
            let listing = match (status, after) {
                (Status::Complete, None) => {
                    sessions::complete(store, &user, horizon, None, limit).await?
                }
                (Status::Complete, Some(After::Newest(after))) => {
                    sessions::complete(store, &user, horizon, Some(after), limit).await?
                }
                (Status::Complete, Some(After::Id(..))) => return Err(QueryError::InvalidCursor),
                (Status::Open | Status::Orphan, after) => {
                    sessions::search(store, &user, status, horizon, after, limit).await?
                }
            };
            let next = listing.next.map(|after| cursor::write_session(query, &after));
            let next = next.transpose().map_err(QueryError::Unwritable)?;
            if listing.by_id {
                self.metrics.long_histories.report(&user, store.sessions_per_query());
            }
            let (sessions, order) = (listing.sessions, listing.by_id.then_some(Order::SessionId));
            let rows = sessions.len();
            Answer::json(&SessionsReply { user_id: user.clone(), sessions, order, next }, rows)
        })
        .await
    }

    /// `/v1/users/{user_id}/sessions/{session_id}`
    pub(super) async fn session(&self, request: Request) -> Result<Answer, QueryError> {
        let user = decoded(request.segment(0), UserId::stored).ok_or(QueryError::InvalidUserId)?;
        request.caller.may_read(&user)?;
        let session = decoded(request.segment(1), SessionId::stored);
        let session = session.ok_or(QueryError::InvalidSessionId)?;
        Params::parse(&request.query, &[])?;
        self.explain(SessionKey { user, session }).await
    }

    /// `/v1/session`
    pub(super) async fn session_by_query(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse(&request.query, &SESSION_BY_QUERY)?;
        let user = body::either(params.one("user_id"), None, body::IN_QUERY)?;
        request.caller.may_read(&user)?;
        let session = params.one("session_id").ok_or(QueryError::MissingSessionId)?;
        let session = SessionId::stored(session).ok_or(QueryError::InvalidSessionId)?;
        self.explain(SessionKey { user, session }).await
    }

    /// One session and its explanation.
    async fn explain(&self, key: SessionKey) -> Result<Answer, QueryError> {
        let facts = self.store.facts(&key).await?;
        let explanation = explain(key, facts, self.clock.now() - RETENTION);
        Answer::json(&explanation.ok_or(QueryError::UnknownSession)?, 1)
    }

    /// `/user/last-sessions-user`
    pub(super) async fn last_sessions(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse_known(&request.query, &LAST_SESSIONS)?;
        let user = body::either(params.one("user_id"), params.one("player_id"), body::IN_QUERY)?;
        request.caller.may_read(&user)?;
        let sessions = self.last(&user).await?;
        let rows = sessions.len();
        Answer::json(&BTreeMap::from([(user, sessions)]), rows)
    }

    /// `/`: the documentation page, or the last sessions of the user in the body.
    pub(super) async fn root(&self, request: Request) -> Result<Answer, QueryError> {
        // The time in which the client sends its body has a limit of its own, and holds no permit.
        let is_reader = request.caller.could_use(Access::ReadUser);
        let limit = if is_reader { self.options.body_timeout } else { body::STRANGER_TIMEOUT };
        let body = body::read(request.body, limit).await?;
        if body.trim_ascii().is_empty() {
            return Ok(Answer::Page(docs::page()));
        }
        request.caller.may_use(Access::ReadUser)?;
        let user = body::user(&body)?;
        request.caller.may_read(&user)?;
        self.in_time(Reach::Point, async {
            let sessions = self.last(&user).await?;
            Answer::json(&sessions, sessions.len())
        })
        .await
    }

    /// Returns the last complete sessions of a user.
    async fn last(&self, user: &UserId) -> Result<Vec<ListedSession>, QueryError> {
        let horizon = self.clock.now() - RETENTION;
        let listing = sessions::complete(&self.store, user, horizon, None, LIMIT.0).await?;
        Ok(listing.sessions)
    }
}

/// Reads an id in a segment of a path. Ids that only an earlier version accepted are read too,
/// because their sessions are still stored.
fn decoded<T>(segment: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    percent_decode(segment).and_then(|text| read(&text))
}
