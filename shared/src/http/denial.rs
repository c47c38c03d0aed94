//! Why a request is denied access, and the reply.

use prometheus::{IntCounterVec, Registry};
use thiserror::Error;
use warp::http::StatusCode;

use super::{code::ErrorCode, id::RequestId, reply::HttpError};
use crate::{
    access::{Right, register_denials},
    telemetry::Repeats,
};

/// Why a request is denied access. The text is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denial {
    /// The request has no key.
    #[error("a key is missing; send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`")]
    NoKey,
    /// The key can never have been valid.
    #[error("the key is mistyped: its last six characters do not fit the others; copy it again")]
    MalformedKey,
    /// The request has two keys.
    #[error("the request has several keys; send one")]
    SeveralKeys,
    /// A key with more rights than to send events is in the address.
    #[error(
        "only a key whose sole right is `ingest` may be in the address; send this one in a header"
    )]
    KeyInAddress,
    /// The key is not valid, or no longer.
    #[error("the key is not known; it may have been revoked")]
    UnknownKey,
    /// The key was valid once.
    #[error("the key has expired; ask the operator for another one")]
    ExpiredKey,
    /// The key lacks the right that the route needs.
    #[error("the key does not have the right `{0}`")]
    MissingRight(Right),
    /// The key is for other users.
    #[error("the key is not for this user, or not for questions about all users")]
    ForeignUser,
    /// The page that sent the request is not of an allowed origin.
    #[error(
        "pages of this origin may not call the service; allow it with --cors-origin, or in the key"
    )]
    ForeignOrigin,
    /// The request was sent to a name that may belong to anybody.
    #[error("the service does not answer to this host name; allow it with --allowed-host")]
    ForeignHost,
}

impl Denial {
    /// The code of every denial: the values of a label.
    pub(super) const CODES: [ErrorCode; 8] = [
        ErrorCode::NoKey,
        ErrorCode::MalformedKey,
        ErrorCode::UnknownKey,
        ErrorCode::ExpiredKey,
        ErrorCode::MissingRight,
        ErrorCode::ForeignUser,
        ErrorCode::ForeignOrigin,
        ErrorCode::ForeignHost,
    ];

    /// The code in the reply.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NoKey => ErrorCode::NoKey,
            Self::MalformedKey | Self::SeveralKeys | Self::KeyInAddress => ErrorCode::MalformedKey,
            Self::UnknownKey => ErrorCode::UnknownKey,
            Self::ExpiredKey => ErrorCode::ExpiredKey,
            Self::MissingRight(_) => ErrorCode::MissingRight,
            Self::ForeignUser => ErrorCode::ForeignUser,
            Self::ForeignOrigin => ErrorCode::ForeignOrigin,
            Self::ForeignHost => ErrorCode::ForeignHost,
        }
    }

    /// The error as a client receives it.
    #[must_use]
    pub fn http(self) -> HttpError {
        let status = match self {
            Self::NoKey
            | Self::MalformedKey
            | Self::SeveralKeys
            | Self::KeyInAddress
            | Self::UnknownKey
            | Self::ExpiredKey => StatusCode::UNAUTHORIZED,
            Self::MissingRight(_) | Self::ForeignUser | Self::ForeignOrigin | Self::ForeignHost => {
                StatusCode::FORBIDDEN
            }
        };
        HttpError::new(status, self.code(), self.to_string())
    }
}

/// Counts and logs denials.
#[derive(Debug, Default)]
pub(super) struct Denials {
    counter: Option<IntCounterVec>,
    repeats: Repeats,
}

impl Denials {
    pub(super) fn counted(registry: &Registry) -> prometheus::Result<Self> {
        let counter = register_denials(registry)?;
        // Every series starts at 0: `rate` misses the increment with which a series appears.
        for reason in Denial::CODES {
            counter.with_label_values(&[reason.as_str()]);
        }
        Ok(Self { counter: Some(counter), repeats: Repeats::default() })
    }

    /// Counts a denial, and logs it with the `id` of its request. The line names neither a key nor
    /// an address, which a stranger chooses.
    pub(super) fn deny(&self, denial: Denial, id: &RequestId) -> Denial {
        let reason = denial.code().as_str();
        if let Some(counter) = &self.counter {
            counter.with_label_values(&[reason]).inc();
        }
        if let Some(suppressed) = self.repeats.due(reason) {
            tracing::warn!(reason, request_id = %id, suppressed, "a request was denied access");
        }
        denial
    }
}
