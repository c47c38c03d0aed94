//! The one body that a question may have.

use std::{pin::pin, time::Duration};

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use shared::event::UserId;

use crate::error::QueryError;

/// The longest body, in bytes: an id with every byte escaped, and the object around it, several times over.
const LONGEST: usize = 8 << 10;

/// Unknown fields are left alone, as those of an event are.
#[derive(Deserialize)]
struct WhoseSessions {
    user_id: Option<String>,
    player_id: Option<String>,
}

/// Reads a body of a few bytes; most requests have none.
pub(super) async fn read<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
    timeout: Duration,
) -> Result<Vec<u8>, QueryError> {
    let all = async {
        let mut body = pin!(body);
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await {
            let mut part = part.map_err(|_broken_off| QueryError::InvalidBody)?;
            if bytes.len() + part.remaining() > LONGEST {
                return Err(QueryError::BodyTooLarge(LONGEST));
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                bytes.extend_from_slice(chunk);
                let length = chunk.len();
                part.advance(length);
            }
        }
        Ok(bytes)
    };
    tokio::time::timeout(timeout, all).await.unwrap_or(Err(QueryError::SlowBody))
}

/// Reads `{"user_id": "…"}` or `{"player_id": "…"}`.
pub(super) fn user(body: &[u8]) -> Result<UserId, QueryError> {
    let object = body.trim_ascii_start().starts_with(b"{");
    let whose: WhoseSessions = match serde_json::from_slice(body) {
        Ok(whose) if object => whose,
        _ => return Err(QueryError::InvalidBody),
    };
    either(whose.user_id, whose.player_id, "the body may be {\"user_id\": \"d6313e1f\"}")
}

/// The user that one of the two names gives; `example` shows a client that gave neither what to do.
pub(super) fn either<T: AsRef<str>>(
    user: Option<T>,
    alias: Option<T>,
    example: &'static str,
) -> Result<UserId, QueryError> {
    match (user, alias) {
        (Some(id), None) | (None, Some(id)) => {
            UserId::new(id.as_ref()).ok_or(QueryError::InvalidUserId)
        }
        (Some(_), Some(_)) => Err(QueryError::ConflictingUserId),
        (None, None) => Err(QueryError::MissingUserId(example)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn part(text: &'static str) -> Result<Bytes, Infallible> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_body_may_come_in_parts() {
        let body =
            read(stream::iter([part("{\"user_id\""), part(":\"u\"}")]), SECOND).await.unwrap();
        assert_eq!(user(&body).unwrap().as_str(), "u");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let body = stream::iter([part("{")]).chain(stream::pending());
        assert!(matches!(read(body, SECOND).await, Err(QueryError::SlowBody)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_has_no_end_is_refused() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{}")), Err(())]);
        assert!(matches!(read(broken, SECOND).await, Err(QueryError::InvalidBody)));
        let endless = stream::repeat_with(|| part("          ")).take(LONGEST);
        assert!(matches!(read(endless, SECOND).await, Err(QueryError::BodyTooLarge(LONGEST))));
    }
}
