//! The reply to a batch: the result for each of its events.

use serde::Serialize;
use shared::{
    event::{Rejection, RejectionCode},
    http::{Fault, json_reply},
};
use utoipa::ToSchema;
use warp::{Reply, http::StatusCode, reply::Response};

/// The text that the clients of the seeds look for.
pub(super) const SUCCESS: &str = "POST success";

/// The result for the events of a batch.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) accepted: usize,
    pub(super) discarded: Vec<Discarded>,
    pub(super) rejected: Vec<Rejected>,
}

/// An event that is older than one year.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiscardedEvent)]
pub(super) struct Discarded {
    /// The position of the event in the batch, counted from 0.
    index: usize,
    /// The reason, which is always `expired`.
    code: RejectionCode,
    /// A likely mistake in the time of the event, as a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// An event that is not valid.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedEvent)]
pub(super) struct Rejected {
    /// The position of the event in the batch, counted from 0.
    index: usize,
    /// The reason, as a word for programs.
    pub(super) code: RejectionCode,
    /// The fault of this event, as a sentence for people.
    detail: String,
}

/// The result for the events of a batch. Each event is counted or listed once.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchReply)]
pub(super) struct Success<'a> {
    /// The text `POST success`, which older clients look for.
    message: &'static str,
    /// The number of events that are durable now.
    accepted: usize,
    /// The events that are older than one year. They are not kept, which is not an error.
    discarded: &'a [Discarded],
    /// The events that are not valid.
    rejected: &'a [Rejected],
}

/// The result for a batch of which every event was rejected.
#[derive(Serialize, ToSchema)]
#[schema(as = RejectedBatch)]
pub(super) struct NothingUsable<'a> {
    /// The error, whose code is `nothing_usable`.
    error: Fault<'a>,
    /// The number of events that were accepted, which is always 0.
    accepted: usize,
    /// The events that are older than one year. The list is always empty.
    discarded: &'a [Discarded],
    /// The reason for each event.
    rejected: &'a [Rejected],
}

impl Report {
    pub(super) fn discard(&mut self, index: usize, code: RejectionCode, detail: Option<String>) {
        self.discarded.push(Discarded { index, code, detail });
    }

    pub(super) fn reject(&mut self, index: usize, Rejection { code, detail }: Rejection) {
        self.rejected.push(Rejected { index, code, detail });
    }

    /// The body of a reply with status 200.
    pub(super) fn success(&self) -> Success<'_> {
        let Self { accepted, discarded, rejected } = self;
        Success { message: SUCCESS, accepted: *accepted, discarded, rejected }
    }

    /// The body of a reply with `error`.
    pub(super) fn refusal<'a>(&'a self, error: Fault<'a>) -> NothingUsable<'a> {
        let Self { accepted, discarded, rejected } = self;
        NothingUsable { error, accepted: *accepted, discarded, rejected }
    }

    /// A reply with status 200: as text for older clients, else as JSON. The text alone would hide
    /// that no event was kept.
    pub(super) fn to_response(&self, as_text: bool) -> Response {
        if as_text && self.accepted > 0 {
            SUCCESS.into_response()
        } else {
            json_reply(StatusCode::OK, &self.success())
        }
    }
}
