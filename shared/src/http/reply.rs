//! The replies that every service shares: JSON, and the one shape of an error.

use serde::Serialize;
use serde_json::json;
use warp::{
    Reply as _,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{code::ErrorCode, headers};

/// The body of every error: `{"error":{"code","message"}}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorReply<'a> {
    /// The error that the request ended with.
    pub error: Fault<'a>,
}

/// The code and the message of an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ErrorDetail)]
pub struct Fault<'a> {
    /// The kind of the error: a word that never changes, for programs.
    pub code: ErrorCode,
    /// The cause and what to do about it: a sentence for people, which may change.
    pub message: &'a str,
}

/// An error in the form in which a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The kind of the error: a word that never changes.
    pub code: ErrorCode,
    /// The cause and what to do about it.
    pub message: String,
    /// The number of seconds after which to repeat the request, if the error is temporary.
    pub retry_after: Option<u64>,
}

impl HttpError {
    /// A permanent error: the same request fails again.
    pub fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The same error as a temporary one; the client may repeat the request after `seconds`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The body of the reply.
    #[must_use]
    pub fn body(&self) -> ErrorReply<'_> {
        ErrorReply { error: self.fault() }
    }

    /// The code and the message.
    #[must_use]
    pub fn fault(&self) -> Fault<'_> {
        Fault { code: self.code, message: &self.message }
    }

    /// The reply.
    #[must_use]
    pub fn to_response(&self) -> Response {
        let mut reply = json_reply(self.status, &self.body());
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"bookend\"");
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }

    /// The body of the reply as JSON.
    pub(super) fn to_json(&self) -> String {
        json!(self.body()).to_string()
    }

    /// The reply as it is written to a connection that no HTTP library serves and that is closed
    /// then. No request was read, so no id of a client is kept.
    pub(super) fn to_last_reply(&self) -> String {
        let body = self.to_json();
        let mut headers = HeaderMap::from_iter([
            (header::CONNECTION, HeaderValue::from_static("close")),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::CONTENT_LENGTH, body.len().into()),
        ]);
        headers.extend(self.retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into())));
        headers::of_a_refusal(&HeaderMap::new(), false, &mut headers);
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &headers {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        head + "\r\n" + &body
    }
}

/// A reply with `body` as JSON. A body that cannot be written as JSON becomes a 500 and a log line.
#[must_use]
pub fn json_reply(status: StatusCode, body: &impl Serialize) -> Response {
    let mut reply = warp::reply::json(body).into_response();
    if reply.status() == StatusCode::OK {
        *reply.status_mut() = status;
    }
    reply
}
