//! The body of a query, which only `GET /` has.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use shared::event::UserId;

use crate::error::QueryError;

/// The largest body, in bytes: several times an id of which every byte is escaped.
pub(super) const LONGEST: usize = 8 << 10;

/// The time for the body of a caller without the right to read. A body that is not blank is refused
/// then, and until then the request takes the place of another one.
pub(super) const STRANGER_TIMEOUT: Duration = Duration::from_secs(1);

/// An example of a user in a query string.
pub(super) const IN_QUERY: &str = "user_id=d6313e1f";
/// An example of a user in a body.
pub(super) const IN_BODY: &str = "a body such as {\"user_id\": \"d6313e1f\"}";

/// Unknown fields are ignored, as in an event.
#[derive(Deserialize)]
struct NamedUser {
    user_id: Option<String>,
    player_id: Option<String>,
}

/// Reads the body to its end, within `timeout`.
pub(super) async fn read<E: Error>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    timeout: Duration,
) -> Result<Vec<u8>, QueryError> {
    let all = async {
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_ended_early| QueryError::InvalidBody)?;
            if bytes.len() + piece.len() > LONGEST {
                return Err(QueryError::BodyTooLarge(LONGEST));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    tokio::time::timeout(timeout, all).await.unwrap_or(Err(QueryError::SlowBody))
}

/// Reads `{"user_id": "…"}` or `{"player_id": "…"}`.
pub(super) fn user(body: &[u8]) -> Result<UserId, QueryError> {
    let object = body.trim_ascii_start().starts_with(b"{");
    let named: NamedUser = match serde_json::from_slice(body) {
        Ok(named) if object => named,
        _ => return Err(QueryError::InvalidBody),
    };
    either(named.user_id, named.player_id, IN_BODY)
}

/// Returns the user that one of the two names gives; `example` shows how to name one.
pub(super) fn either<T: AsRef<str>>(
    user: Option<T>,
    alias: Option<T>,
    example: &'static str,
) -> Result<UserId, QueryError> {
    match (user, alias) {
        (Some(id), None) | (None, Some(id)) => {
            UserId::stored(id.as_ref()).ok_or(QueryError::InvalidUserId)
        }
        (Some(_), Some(_)) => Err(QueryError::ConflictingUserId),
        (None, None) => Err(QueryError::MissingUserId(example)),
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::pin};

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
        let broken = stream::iter([Ok(Bytes::from_static(b"{}")), Err(std::fmt::Error)]);
        assert!(matches!(read(broken, SECOND).await, Err(QueryError::InvalidBody)));
        let endless = stream::repeat_with(|| part("          ")).take(LONGEST);
        assert!(matches!(
            read(pin!(endless), SECOND).await,
            Err(QueryError::BodyTooLarge(LONGEST))
        ));
    }
}
