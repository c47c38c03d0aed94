//! The answer to a batch: what became of each of its events.

use serde::Serialize;
use shared::{
    event::{Rejection, RejectionCode, SessionEvent},
    http::{Fault, json_reply},
    timestamp::Timestamp,
};
use utoipa::ToSchema;
use warp::{Reply, http::StatusCode, reply::Response};

/// What the first seed's clients look for.
pub(super) const SUCCESS: &str = "POST success";

/// What became of the events of a batch.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) accepted: usize,
    pub(super) discarded: Vec<Discarded>,
    pub(super) rejected: Vec<Rejected>,
}

/// An event of more than a year ago.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Discarded {
    /// Its place in the batch, from 0.
    index: usize,
    /// `expired`
    code: RejectionCode,
}

/// An event that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rejected {
    /// Its place in the batch, from 0.
    index: usize,
    /// Why.
    pub(super) code: RejectionCode,
    /// What was wrong with this very event.
    detail: String,
}

/// What became of the events of a batch; together they are as many as were sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Success {
    /// Always `POST success`.
    message: &'static str,
    /// How many events are durable now.
    accepted: usize,
    /// Those that are too old to be kept, which is nobody's fault.
    discarded: Vec<Discarded>,
    /// Those that are no events.
    rejected: Vec<Rejected>,
}

/// What became of a batch without a single event that can be used.
#[derive(Serialize, ToSchema)]
pub(super) struct NothingUsable {
    /// Its code is `nothing_usable`.
    error: Fault<'static>,
    /// 0
    accepted: usize,
    /// Empty.
    discarded: Vec<Discarded>,
    /// Why each event was refused.
    rejected: Vec<Rejected>,
}

impl Report {
    pub(super) fn discard(&mut self, index: usize, code: RejectionCode) {
        self.discarded.push(Discarded { index, code });
    }

    pub(super) fn reject(&mut self, index: usize, Rejection { code, detail }: Rejection) {
        self.rejected.push(Rejected { index, code, detail });
    }

    pub(super) fn into_reply(self) -> Response {
        let Self { accepted, discarded, rejected } = self;
        json_reply(StatusCode::OK, &Success { message: SUCCESS, accepted, discarded, rejected })
    }

    pub(super) fn into_text(self) -> Response {
        SUCCESS.into_response()
    }

    pub(super) fn into_refusal(self) -> Response {
        let Self { accepted, discarded, rejected } = self;
        let error =
            Fault { code: "nothing_usable", message: "every event of the batch was rejected" };
        json_reply(StatusCode::BAD_REQUEST, &NothingUsable { error, accepted, discarded, rejected })
    }
}

/// Why an event that can be read is not taken at `now`.
pub(super) fn too_far(code: RejectionCode, event: &SessionEvent, now: Timestamp) -> Rejection {
    let ts = event.ts();
    let detail = match code {
        RejectionCode::Future => {
            format!("ts {ts} is later than the clock of this service, {now}, allows")
        }
        _ => format!("ts {ts} is more than a year before {now}"),
    };
    Rejection::new(code, detail)
}
