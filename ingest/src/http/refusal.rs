//! Why a batch is not taken, and what its client hears.

use shared::{
    event::BatchError,
    http::{error, error_for_now},
};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{EndpointOptions, body::BodyError, reply::Report};
use crate::log::LogError;

/// After how many seconds a client that was told 503 should come again.
const RETRY_AFTER: u64 = 1;

/// Why a batch was not taken; one answer each.
pub(super) enum Refusal {
    Body(BodyError),
    Batch(BatchError),
    NothingUsable(Report),
    Quota { seconds: u64 },
    Log(LogError),
    TimedOut,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl Refusal {
    pub(super) fn into_reply(self, options: &EndpointOptions) -> Response {
        let too_large = StatusCode::PAYLOAD_TOO_LARGE;
        match self {
            Self::Body(BodyError::TooLarge { limit }) => error(
                too_large,
                "body_too_large",
                &format!(
                    "a body, before and after inflating, has at most {limit} bytes; send smaller batches"
                ),
            ),
            Self::Body(BodyError::MediaType(sent)) => error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                &format!("send application/json or application/x-ndjson, not {sent}"),
            ),
            Self::Body(BodyError::Encoding(sent)) => error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                &format!("send a body as it is, or with gzip or zstd, not {sent}"),
            ),
            Self::Body(BodyError::Damaged(what)) => {
                error(StatusCode::BAD_REQUEST, "damaged_body", &what)
            }
            Self::Body(BodyError::Slow) => closing(error(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                &format!(
                    "the body did not arrive within {} seconds",
                    options.body_timeout.as_secs()
                ),
            )),
            Self::Body(BodyError::Busy) => {
                closing(busy("too much is being received at the moment"))
            }
            Self::Batch(refused @ BatchError::TooManyEvents { .. }) => {
                error(too_large, "too_many_events", &refused.to_string())
            }
            Self::Batch(refused) => {
                let code = match refused {
                    BatchError::NotJson(_) => "not_json",
                    BatchError::Empty => "empty_batch",
                    _ => "not_a_batch",
                };
                error(StatusCode::BAD_REQUEST, code, &refused.to_string())
            }
            Self::NothingUsable(report) => report.into_refusal(),
            Self::Quota { seconds } => {
                let text = format!(
                    "more events than this service takes from one client; try again in {seconds} s"
                );
                error_for_now(StatusCode::TOO_MANY_REQUESTS, "over_quota", &text, seconds)
            }
            Self::Log(refused) => {
                tracing::warn!(error = %refused, "a batch was not taken");
                busy("the log cannot take this batch at the moment")
            }
            Self::TimedOut => busy("the log did not take this batch in time"),
        }
    }
}

fn busy(message: &str) -> Response {
    error_for_now(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, RETRY_AFTER)
}

/// What is left of the body will not be read.
fn closing(mut reply: Response) -> Response {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}
