//! The answer to a batch: what became of each of its events.

use serde::Serialize;
use serde_json::json;
use shared::{
    event::{Rejection, RejectionCode, SessionEvent},
    http::json_reply,
    timestamp::Timestamp,
};
use warp::{Reply, http::StatusCode, reply::Response};

/// What the first seed's clients look for.
const SUCCESS: &str = "POST success";

/// What became of the events of a batch.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) accepted: usize,
    pub(super) discarded: Vec<Discarded>,
    pub(super) rejected: Vec<Rejected>,
}

/// An event that is too old, by its place in the batch.
#[derive(Debug, Serialize)]
pub(super) struct Discarded {
    index: usize,
    code: RejectionCode,
}

/// An event that was refused, by its place in the batch.
#[derive(Debug, Serialize)]
pub(super) struct Rejected {
    index: usize,
    pub(super) code: RejectionCode,
    detail: String,
}

#[derive(Serialize)]
struct Success<'a> {
    message: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: serde_json::Value,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    pub(super) fn discard(&mut self, index: usize, code: RejectionCode) {
        self.discarded.push(Discarded { index, code });
    }

    pub(super) fn reject(&mut self, index: usize, Rejection { code, detail }: Rejection) {
        self.rejected.push(Rejected { index, code, detail });
    }

    pub(super) fn into_reply(self) -> Response {
        json_reply(StatusCode::OK, &Success { message: SUCCESS, report: &self })
    }

    pub(super) fn into_text(self) -> Response {
        SUCCESS.into_response()
    }

    pub(super) fn into_refusal(self) -> Response {
        let error = json!({ "code": "nothing_usable", "message": "every event of the batch was rejected" });
        json_reply(StatusCode::BAD_REQUEST, &Failure { error, report: &self })
    }
}

/// Why an event that can be read is not taken at `now`.
pub(super) fn too_far(code: RejectionCode, event: &SessionEvent, now: Timestamp) -> Rejection {
    let ts = event.ts();
    let detail = match code {
        RejectionCode::Future => format!("ts {ts} is later than the clock of this service, {now}, allows"),
        _ => format!("ts {ts} is more than a year before {now}"),
    };
    Rejection::new(code, detail)
}
