//! The reasons why a batch is refused as a whole, and the reply for each.

use shared::{
    config::Bytes,
    event::BatchError,
    http::{ErrorCode, HttpError, ParamsError, json_reply},
};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{body::BodyError, reply::Report};
use crate::log::LogError;

/// The seconds after which a client should repeat a request that got a 503.
const RETRY_AFTER: u64 = 1;

/// The same when only an operator can end the cause.
const RETRY_AFTER_REFUSAL: u64 = 60;

/// The longest time after which a client should repeat a request, in seconds.
const LONGEST_RETRY_AFTER: u128 = 60;

/// The content encodings of a body, for clients that used another one.
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// The reason why a batch is refused.
pub(super) enum Refusal {
    Params(ParamsError),
    /// The parameter `id` names no key of the user.
    UserKey,
    /// The parameter `strict` is neither `true` nor `false`.
    Strict,
    Body(BodyError),
    Batch(BatchError),
    NothingUsable(Report),
    Quota {
        seconds: u64,
    },
    Log(LogError),
    TimedOut,
}

impl From<ParamsError> for Refusal {
    fn from(error: ParamsError) -> Self {
        Self::Params(error)
    }
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
    /// The reply; a report lists the reason for each event.
    pub(super) fn to_response(&self) -> Response {
        let error = self.error();
        let mut reply = match self {
            Self::NothingUsable(report) => json_reply(error.status, &report.refusal(error.fault())),
            _ => error.to_response(),
        };
        if matches!(self, Self::Body(BodyError::Encoding(_))) {
            reply.headers_mut().insert(header::ACCEPT_ENCODING, ENCODINGS);
        }
        reply
    }

    /// The status, the code and the message.
    pub(super) fn error(&self) -> HttpError {
        match self {
            Self::Params(error) => error.http(),
            Self::UserKey => HttpError::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidId,
                "`id` must be `user_id` or `player_id`, the key that names the user of an event",
            ),
            Self::Strict => HttpError::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidStrict,
                "`strict` must be `true` or `false`",
            ),
            Self::Body(error) => body_error(error),
            Self::Batch(error) => batch_error(error),
            Self::NothingUsable(_) => HttpError::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::NothingUsable,
                "every event of the batch was rejected",
            ),
            Self::Quota { seconds } => HttpError::new(
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::OverQuota,
                format!("the quota of events per second is used up; try again in {seconds} s"),
            )
            .retry_after(*seconds),
            Self::Log(LogError::Refused { .. }) => HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::LogRefused,
                "the brokers refuse the batch until an operator changes their settings; try again in 60 s",
            )
            .retry_after(RETRY_AFTER_REFUSAL),
            Self::Log(LogError::Throttled { left }) => {
                let seconds = left.as_millis().div_ceil(1_000).clamp(1, LONGEST_RETRY_AFTER);
                let seconds = u64::try_from(seconds).unwrap_or(RETRY_AFTER);
                let message = format!("the brokers throttle the service; try again in {seconds} s");
                unavailable(&message).retry_after(seconds)
            }
            Self::Log(_) => unavailable("the log cannot accept the batch now; try again in 1 s"),
            Self::TimedOut => {
                unavailable("the log did not confirm the batch in time; send the same batch again")
            }
        }
    }
}

fn body_error(error: &BodyError) -> HttpError {
    let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    match error {
        BodyError::TooLarge { limit } => HttpError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::BodyTooLarge,
            format!(
                "the body is larger than {}, before or after decompression; send smaller batches",
                Bytes(*limit as u64)
            ),
        ),
        BodyError::MediaType(sent) => HttpError::new(
            unsupported,
            ErrorCode::UnsupportedMediaType,
            format!(
                "the content type {sent} is not supported; send application/json or \
                 application/x-ndjson"
            ),
        ),
        BodyError::Encoding(sent) => HttpError::new(
            unsupported,
            ErrorCode::UnsupportedEncoding,
            format!("the content encoding {sent} is not supported; use gzip, zstd or no encoding"),
        ),
        BodyError::Damaged(cause) => {
            HttpError::new(StatusCode::BAD_REQUEST, ErrorCode::DamagedBody, cause.as_str())
        }
        BodyError::Slow { timeout } => HttpError::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::SlowBody,
            format!("the body did not arrive within {} s; send smaller batches", timeout.as_secs()),
        ),
        BodyError::Busy => unavailable("too many request bodies are in flight; try again in 1 s"),
    }
}

fn batch_error(error: &BatchError) -> HttpError {
    let (status, code) = match error {
        BatchError::NotJson(_) => (StatusCode::BAD_REQUEST, ErrorCode::NotJson),
        BatchError::Empty => (StatusCode::BAD_REQUEST, ErrorCode::EmptyBatch),
        BatchError::NotABatch(_) => (StatusCode::BAD_REQUEST, ErrorCode::NotABatch),
        BatchError::TooManyEvents { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooManyEvents)
        }
    };
    HttpError::new(status, code, error.to_string())
}

fn unavailable(message: &str) -> HttpError {
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
        .retry_after(RETRY_AFTER)
}
