//! The reply to a request that the gate denies.

use std::time::Duration;

use futures_util::StreamExt;
use warp::{http::header, reply::Response};

use super::{denial::Denial, request::Request};

/// The largest body of a denied request that is read, in bytes.
const SMALL_BODY: usize = 64 << 10;
/// The time that it may take.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Denies a request. A small body is read to its end, so that the connection is kept.
pub(super) async fn denied(denial: Denial, request: Request) -> Response {
    let Request { headers, mut body, .. } = request;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let is_small = length.is_none_or(|length: usize| length <= SMALL_BODY);
    // Reading would ask a client that waits with its body to send it.
    if is_small && !headers.contains_key(header::EXPECT) {
        let mut left = SMALL_BODY;
        let rest = async {
            while let Some(Ok(piece)) = body.next().await {
                let Some(rest) = left.checked_sub(piece.len()) else { return };
                left = rest;
            }
        };
        tokio::time::timeout(SMALL_BODY_TIMEOUT, rest).await.ok();
    }
    denial.http().to_response()
}
